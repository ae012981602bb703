"""Runs outlive what serves them."""

from __future__ import annotations

from pathlib import Path

from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance
from tests.e2e.guide import guide


def test_runs_outlive_an_uninstall_and_their_volume(namespace: str, folder: Path, volumes: Volumes) -> None:
    """The documented uninstall keeps storage; deleted too, the documented way binds the same files again."""
    dist = kube.synthesized(folder, aim=instance(namespace, volumes.host_path(namespace)))
    kube.kubectl("apply", "-f", dist)
    kube.ready(namespace)
    kube.apply(kube.writer("train", namespace, kube.claim_of("aim"), "--runs", 3))
    runs = kube.written("train", namespace)
    kube.await_runs(runs, namespace)

    kube.kubectl("delete", "-f", dist, "-l", "app.kubernetes.io/component!=storage")
    kinds = "deployments,services,configmaps,networkpolicies"
    assert kube.found(kinds, "-n", namespace, "-l", "app.kubernetes.io/name=aim")["items"] == []
    assert kube.found("pvc", "aim-runs", "-n", namespace)["status"]["phase"] == "Bound"
    kube.kubectl("apply", "-f", dist)
    kube.ready(namespace)
    kube.await_runs(runs, namespace)

    # docs/how-to/rebind.md
    kube.kubectl("scale", "-n", namespace, "deployment/aim", "--replicas=0")
    kube.kubectl("delete", "pod", "-n", namespace, "train")
    kube.kubectl("delete", "-n", namespace, "pvc/aim-runs")
    volume = f"{namespace}.aim-runs"
    kube.wait_for(lambda: kube.found("pv", volume)["status"]["phase"] == "Released", seconds=30, what=volume)
    assert ".aim" in volumes.run(f"ls -A /host/{namespace}")
    kube.kubectl("delete", f"pv/{namespace}.aim-runs")
    kube.kubectl("apply", "-f", dist)
    kube.ready(namespace)
    kube.await_runs(runs, namespace)


def test_the_way_from_the_guide_keeps_every_run(namespace: str, folder: Path, volumes: Volumes) -> None:
    """Runs of root, recorded under the guide's server on NFS, are served after the documented steps."""
    storage = volumes.nfs_export(namespace, owner=0)
    kube.kubectl("create", "namespace", namespace)
    kube.apply(*guide(namespace, {"nfs": storage["nfs"]}))
    kube.ready(namespace, "my-aim-deployment")
    kube.wait_for(lambda: "VERSION" in volumes.run(f"ls /nfs/{namespace}/.aim"), seconds=60)
    claim = {"persistentVolumeClaim": {"claimName": "aim-runs-claim"}}
    kube.apply(kube.writer("train", namespace, claim, "--runs", 3, user=0))
    runs = kube.written("train", namespace)
    kube.await_runs(runs, namespace, "my-aim-deployment")

    # docs/how-to/migrate.md
    kube.kubectl("delete", "pod", "train", "-n", namespace)
    kube.kubectl("delete", "deployment/my-aim-deployment", "service/my-aim-service", "-n", namespace)
    kube.kubectl("wait", "--for=delete", "pod", "-l", "app=my-aim-deployment", "-n", namespace, "--timeout=60s")
    kube.kubectl("delete", "pvc/aim-runs-claim", "-n", namespace)
    kube.kubectl("delete", f"pv/{namespace}-aim-runs")
    volumes.run(f"chown -R {kube.UID}:{kube.UID} /nfs/{namespace}")
    kube.kubectl("apply", "-f", kube.synthesized(folder, aim=instance(namespace, storage)))
    kube.ready(namespace)
    kube.await_runs(runs, namespace)
    kube.apply(kube.writer("more", namespace, kube.claim_of("aim")))
    kube.await_runs(runs | kube.written("more", namespace), namespace)

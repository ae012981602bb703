"""What a new version of the project does to the servers that are there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance
from tests.e2e.kube import Manifest

CHANGE = "# a later version of the supervisor\n"


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The project with another supervisor."""
    copy = tmp_path / "later"
    for name in ("app", "constructs_lib", "imports"):
        shutil.copytree(kube.ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(kube.ROOT / "main.py", copy)
    with (copy / "constructs_lib/supervisor/__init__.py").open("a", encoding="utf-8") as file:
        file.write(CHANGE)
    return copy


def supervisor(namespace: str) -> str:
    """The text of the supervisor in the server's pod."""
    command = ("cat", "supervisor/__init__.py", "supervisor/serve.py")
    return kube.kubectl("exec", "-n", namespace, "deployment/aim", "--", *command)


def test_a_rollback_brings_back_the_former_supervisor(
    namespace: str, folder: Path, volumes: Volumes, later: Path
) -> None:
    """`kubectl rollout undo` runs the old template with the old text; nothing can change that text under a pod."""
    content = instance(namespace, volumes.host_path(namespace))
    kube.kubectl("apply", "-f", kube.synthesized(folder, aim=content))
    kube.ready(namespace)
    former = supervisor(namespace)
    assert CHANGE not in former
    kube.kubectl("apply", "-f", kube.synthesized(folder, later, aim=content))
    kube.ready(namespace)
    assert supervisor(namespace).replace(CHANGE, "") == former
    assert CHANGE in supervisor(namespace)
    kube.kubectl("rollout", "undo", "-n", namespace, "deployment/aim")
    kube.ready(namespace)
    assert supervisor(namespace) == former
    for each in kube.found("configmaps", "-n", namespace, "-l", "app.kubernetes.io/name=aim")["items"]:
        patch = '{"data": {"__init__.py": ""}}'
        with pytest.raises(kube.FailedError, match="immutable"):
            kube.kubectl("patch", "configmap", each["metadata"]["name"], "-n", namespace, "--type=merge", "-p", patch)


RELEASES = sorted((kube.ROOT / "tests/releases").iterdir())
KEPT = ("Deployment/aim", "Service/aim", "PersistentVolumeClaim/aim-runs")


def read(file: Path) -> list[Manifest]:
    """Manifests of a file."""
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def of_release(release: Path, namespace: str) -> Iterator[Manifest]:
    """What a release made of the guide's instance, but in a namespace of the test, with the image of the cluster."""
    for manifest in read(release / "aim.k8s.yaml"):
        kind, metadata, spec = manifest["kind"], manifest["metadata"], manifest.get("spec", {})
        if "namespace" in metadata:
            metadata["namespace"] = namespace
        if kind in {"Namespace", "PersistentVolume"}:
            metadata["name"] = metadata["name"].replace("aim", namespace, 1)
        if kind == "PersistentVolume":
            spec["claimRef"]["namespace"] = namespace
        if kind == "PersistentVolumeClaim":
            spec["volumeName"] = spec["volumeName"].replace("aim", namespace, 1)
        if kind == "Deployment":
            spec["template"]["spec"]["containers"][0]["image"] = kube.IMAGE
        yield manifest


def on_node(manifests: list[Manifest], path: str) -> list[Manifest]:
    """The same, but a folder of the node stands for the export."""
    for spec in (each["spec"] for each in manifests if each["kind"] == "PersistentVolume"):
        del spec["nfs"]
        spec["hostPath"] = {"path": path}
    return manifests


def roll(namespace: str, manifests: list[Manifest]) -> None:
    """Apply manifests, and wait until their pod serves: there is never a second one beside it that runs."""
    kube.apply(*manifests)

    def serves() -> bool:
        pods = kube.found("pods", "-n", namespace, "-l", "app.kubernetes.io/component=server")["items"]
        running = [each["metadata"]["name"] for each in pods if each["status"]["phase"] == "Running"]
        assert len(running) <= 1, running
        deployment = kube.found("deployment", "aim", "-n", namespace)
        status = deployment["status"]
        seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
        return bool(seen and status.get("updatedReplicas") == status.get("readyReplicas") == status["replicas"] == 1)

    kube.wait_for(serves, seconds=240, what=kube.kubectl("get", "pods", "-n", namespace))


def identities(namespace: str) -> list[str]:
    """Of the objects that stay the same ones."""
    found = [kube.found(*name.split("/"), "-n", namespace) for name in KEPT]
    return [str(each["metadata"]["uid"]) for each in [*found, kube.found("pv", f"{namespace}.aim-runs")]]


def record(name: str, namespace: str) -> dict[str, int]:
    """Record runs by a pod that mounts the claim."""
    kube.apply(kube.writer(name, namespace, kube.claim_of("aim"), "--runs", 2))
    return kube.written(name, namespace)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_a_release_is_upgraded_and_brought_back(release: Path, namespace: str, folder: Path, volumes: Volumes) -> None:
    """`kubectl apply` of today's manifests over those of a release, and back: every run is served by one server."""
    path = str(volumes.host_path(namespace)["hostPath"]["path"])
    before = on_node(list(of_release(release, namespace)), path)
    content = instance(namespace, {"size": "1Ti", "nfs": {"server": "nfs.example.com", "path": "/aim"}})
    (today,) = kube.synthesized(folder, aim=content).glob("*.yaml")
    roll(namespace, before)
    objects = identities(namespace)
    runs = record("first", namespace)
    kube.await_runs(runs, namespace)
    for number, manifests in enumerate([on_node(read(today), path), before]):
        roll(namespace, manifests)
        kube.await_runs(runs, namespace)
        assert identities(namespace) == objects
        runs |= record(f"later-{number}", namespace)
        kube.await_runs(runs, namespace)

"""From apply to a server that shows what other pods record."""

from __future__ import annotations

import json
import time
from pathlib import Path

import cdk8s
import pytest

from constructs_lib import AimNamespace, HostPath, harden, pod_security_context
from constructs_lib.plus import kplus
from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance, measured
from tests.e2e.kube import Client, Manifest
from tests.harness.building import aim_server, aim_storage
from tests.harness.pages import runs_of_experiments


def served(storage: Manifest, namespace: str, folder: Path) -> str:
    """Apply an instance and wait until its Service answers another pod; what it says about its project."""
    dist = kube.synthesized(folder, aim=instance(namespace, storage))
    begin = time.monotonic()
    kube.kubectl("apply", "-f", dist)
    kube.ready(namespace)
    kind = next(key for key in storage if key != "size")
    measured(f"apply to ready, empty volume, {kind}", time.monotonic() - begin)
    client = Client(namespace=namespace)
    client.start()
    assert "aim" in client.get(f"http://aim.{namespace}.svc/").lower()
    return client.get(f"http://aim.{namespace}.svc/api/projects/")


def bound_to_each_other(namespace: str) -> None:
    """The claim has its volume, and the volume its claim."""
    claim = kube.found("pvc", "aim-runs", "-n", namespace)
    volume = kube.found("pv", claim["spec"]["volumeName"])
    assert claim["status"]["phase"] == volume["status"]["phase"] == "Bound"
    assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]


@pytest.mark.smoke
def test_a_host_path_is_served(namespace: str, folder: Path, volumes: Volumes) -> None:
    """From apply to an answer of the Service."""
    assert '"path":"/aim"' in served(volumes.host_path(namespace), namespace, folder).replace(" ", "")
    bound_to_each_other(namespace)


def test_an_nfs_export_is_served(namespace: str, folder: Path, volumes: Volumes) -> None:
    """From apply to an answer of the Service."""
    served(volumes.nfs_export(namespace), namespace, folder)
    bound_to_each_other(namespace)


def test_dynamic_storage_is_served(namespace: str, folder: Path) -> None:
    """From apply to an answer of the Service; the class makes the volume."""
    served({"size": "1Gi", "dynamic": {}}, namespace, folder)
    bound_to_each_other(namespace)


def composed(namespace: str, source: HostPath, folder: Path, *options: str) -> Path:
    """A chart of a user's own, as README has it: a server, and a Job that records into its storage."""
    app = cdk8s.App(outdir=str(folder / "composed"))
    chart = cdk8s.Chart(app, "vision", namespace=namespace, disable_resource_name_hashes=True)
    AimNamespace(chart, "namespace")
    storage = aim_storage(chart, "storage", source=source, size="1Gi")
    aim_server(chart, "server", storage=storage, image=kube.IMAGE)
    job = kplus.Job(chart, "train", security_context=pod_security_context(storage.owner))
    container = job.add_container(
        name="train",
        image=kube.IMAGE,
        image_pull_policy=kplus.ImagePullPolicy.IF_NOT_PRESENT,
        command=["python3", "-c", kube.CLIENT, "write", "/aim", *options],
    )
    container.mount("/aim", storage)
    harden(job)
    app.synth()
    return folder / "composed"


@pytest.mark.smoke
def test_a_run_of_another_pod_is_shown_within_seconds_of_its_end(
    namespace: str, folder: Path, volumes: Volumes
) -> None:
    """A Job of a user's chart records over the same storage; a run that still goes on is shown meanwhile."""
    source = HostPath(**volumes.host_path(namespace)["hostPath"])
    kube.kubectl("apply", "-f", composed(namespace, source, folder, "--name", "job", "--points", "50"))
    kube.ready(namespace)
    client = Client(namespace=namespace)
    client.start()
    claim = {"persistentVolumeClaim": {"claimName": "aim-runs"}}
    kube.apply(kube.writer("long", namespace, claim, "--points", 400, "--pause", 0.5))
    kube.kubectl("wait", "-n", namespace, "--for=condition=Complete", "job/vision-train", "--timeout=120s")
    ended = time.monotonic()
    log = kube.kubectl("logs", "-n", namespace, "job/vision-train").splitlines()
    (run,) = [json.loads(line) for line in log if line.startswith("{")]
    kube.wait_for(lambda: last_value(client, namespace, run["hash"]) == run["points"] - 1, seconds=10, what="the run")
    measured("end of a Job to its run on the server", time.monotonic() - ended)
    runs = kube.wait_for(lambda: runs_of_experiments(client.page)["long"], seconds=30)
    long = runs[0]["run_id"]
    before = kube.wait_for(lambda: last_value(client, namespace, long), seconds=30)
    kube.wait_for(lambda: last_value(client, namespace, long) > before, seconds=30, what="a run that goes on")


def last_value(client: Client, namespace: str, run: str) -> float:
    """The last value of `loss` of a run, as the page of the run asks for it."""
    url = f"http://aim.{namespace}.svc/api/runs/{run}/metric/get-batch/"
    (metric,) = json.loads(client.get(url, [{"name": "loss", "context": {}}]))
    return float(metric["values"][-1])

"""Recording from other pods: every example, writers at once over volume and network, and what befalls them."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import cdk8s
import pytest
import yaml

from bench.load import CHEAP
from examples import distributed, existing_claim, remote_tracking, report, shared_volume
from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance, measured
from tests.e2e.kube import Client, Manifest
from tests.harness.pages import going_on, runs_of_experiments


def applied(app: cdk8s.App, *, ready: str, folder: str = "") -> None:
    """Synthesize and apply charts, await the server in a namespace; a second apply says that nothing changed.

    A folder of the node takes the place of an export: without the kernel's NFS client, as on the project's own
    cluster, each pod has a mount, and locks, of its own, which no several writers survive.
    """
    app.synth()
    for file in Path(app.outdir).iterdir() if folder else ():
        manifests = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        for volume in (each["spec"] for each in manifests if each["kind"] == "PersistentVolume"):
            del volume["nfs"], volume["mountOptions"]
            volume["hostPath"] = {"path": folder}
        file.write_text(yaml.safe_dump_all(manifests), encoding="utf-8")
    kube.kubectl("apply", "-f", app.outdir)
    kube.ready(ready)
    kube.assert_unchanged(app.outdir)


def folder_of(volumes: Volumes, name: str) -> str:
    """A new folder of the node."""
    return str(volumes.host_path(name)["hostPath"]["path"])


def complete(job: str, namespace: str) -> str:
    """Wait for a Job; what its pods said."""
    kube.kubectl("wait", "-n", namespace, "--for=condition=Complete", f"job/{job}", "--timeout=170s")
    return kube.kubectl("logs", "-n", namespace, f"job/{job}")


def points(namespace: str, count: int, *, of_each: int) -> None:
    """Wait until the server of a namespace has so many runs with so many points each.

    A pod that begins before the server has made the repository may fail, leave an empty run, and be tried again.
    """

    def whole() -> int:
        return list(kube.counted(namespace).values()).count(of_each)

    kube.wait_for(lambda: whole() == count, seconds=60, what=f"{count} runs")


def test_the_shared_volume_and_a_claim_of_others(namespace: str, tmp_path: Path, volumes: Volumes) -> None:
    """A Job's run is there, and so is that of a Deployment of another project, while it goes on."""
    app, others = (cdk8s.App(outdir=str(tmp_path / name)) for name in ("ours", "others"))
    shared_volume.add(app, namespace=namespace, image=kube.IMAGE)
    existing_claim.add(others, namespace=namespace, image=kube.IMAGE)
    applied(app, ready=namespace, folder=folder_of(volumes, namespace))
    applied(others, ready=namespace)
    complete("train", namespace)
    client = Client(namespace=namespace)
    client.start()
    kube.wait_for(lambda: runs_of_experiments(client.page).keys() == {"shared-volume", "evaluation"}, seconds=60)
    assert going_on(client.page) == {"evaluation"}


def test_remote_tracking_from_a_namespace_that_is_admitted(tmp_path: Path) -> None:
    """A Job of another namespace records; strangers reach neither server, and training not the web server."""
    with kube.namespaces(3) as (home, training, strangers):
        for name in (training, strangers):
            kube.kubectl("create", "namespace", name)
        app = cdk8s.App(outdir=str(tmp_path))
        remote_tracking.add(app, namespace=home, training=training, image=kube.IMAGE)
        applied(app, ready=home)
        complete("train", training)
        points(home, 1, of_each=100)
        inside, outside = Client(namespace=training), Client(namespace=strangers)
        inside.start()
        outside.start()
        assert "OK" in inside.get(f"http://aim.{home}.svc:53800/status/")
        for client, port in ((inside, 80), (outside, 80), (outside, 53800)):
            with pytest.raises(kube.FailedError, match="timed out"):
                client.get(f"http://aim.{home}.svc:{port}/status/", seconds=3)


def test_a_distributed_job(namespace: str, tmp_path: Path, volumes: Volumes) -> None:
    """Each of its pods records a run, all at once."""
    app = cdk8s.App(outdir=str(tmp_path))
    distributed.add(app, namespace=namespace, image=kube.IMAGE)
    applied(app, ready=namespace, folder=folder_of(volumes, namespace))
    complete("train", namespace)
    points(namespace, distributed.WORKERS, of_each=50)


def test_a_report(namespace: str, tmp_path: Path) -> None:
    """A CronJob reads what was recorded, on the node of the server."""
    app = cdk8s.App(outdir=str(tmp_path))
    report.add(app, namespace=namespace, image=kube.IMAGE)
    applied(app, ready=namespace)
    kube.apply(kube.writer("first", namespace, kube.claim_of("aim")))
    kube.written("first", namespace)
    kube.kubectl("create", "job", "-n", namespace, "--from=cronjob/report", "now")
    assert "first: 0.0000" in complete("now", namespace)


def both(namespace: str, storage: Manifest, folder: Path) -> Client:
    """A server with a tracking server beside it, both answering; a pod that asks them."""
    kube.kubectl("apply", "-f", kube.synthesized(folder, aim=instance(namespace, storage, tracking={})))
    kube.ready(namespace)
    client = Client(namespace=namespace)
    client.start()
    return client


def test_writers_over_volume_and_network_lose_nothing(namespace: str, folder: Path, volumes: Volumes) -> None:
    """Six at once, listed meanwhile; both containers are killed one by one, and the pod is deleted: all is there."""
    client = both(namespace, volumes.host_path(namespace), folder)
    options = ("--points", 300, "--pause", 0.2)
    claim, url = kube.claim_of("aim"), f"aim://aim.{namespace}.svc:53800"
    names = [f"{way}-{number}" for way in ("volume", "network") for number in range(3)]
    for name in names:
        over_volume = name.startswith("volume")
        kube.apply(
            kube.writer(name, namespace, claim, *options)
            if over_volume
            else kube.remote_writer(name, namespace, url, *options)
        )
    kube.wait_for(lambda: going_on(client.page) == set(names), seconds=60)
    volumes.signal(kube.server_pod(namespace), "43800")
    kube.wait_for(lambda: kube.restarts(namespace) == {"aim": 1, "tracking": 0}, seconds=60, what="a restart of one")
    volumes.signal(kube.server_pod(namespace), "accept")
    begin = time.monotonic()
    kube.wait_for(lambda: client.get(f"http://aim.{namespace}.svc:53800/status/", seconds=2), seconds=60)
    measured("tracking server killed to answering again", time.monotonic() - begin)
    kube.kubectl("delete", "pod", "-n", namespace, kube.server_pod(namespace)["metadata"]["name"])
    runs = {run: count for name in names for run, count in kube.written(name, namespace, seconds=240).items()}
    assert len(runs) == 6
    kube.await_runs(runs, namespace)


def test_a_busy_web_server_shuts_nobody_out_who_records(namespace: str, folder: Path, volumes: Volumes) -> None:
    """A pod is ready as a whole; a run can begin all the same while the web server answers nothing."""
    client = both(namespace, volumes.host_path(namespace), folder)
    pod = kube.server_pod(namespace)
    ready = kube.ready_since(namespace)
    volumes.signal(pod, "host", "STOP")
    kube.wait_for(lambda: "does not answer" in health(namespace, 43801), seconds=60, what="the supervisor's notice")
    time.sleep(20)  # longer than a pod without a tracking server would stay ready
    run = json.loads(client.python(kube.CLIENT, "write", f"aim://aim.{namespace}.svc:53800").splitlines()[0])
    assert kube.ready_since(namespace) == ready
    volumes.signal(pod, "host", "CONT")
    kube.await_runs({run["hash"]: run["points"]}, namespace)
    assert kube.restarts(namespace) == {"aim": 0, "tracking": 0}


def test_a_lock_holds_among_the_containers_of_the_pod(namespace: str, folder: Path, volumes: Volumes) -> None:
    """They see each other's processes, so Aim does not take the lock of a live holder in the other container."""
    both(namespace, volumes.host_path(namespace), folder)
    client = ["--", "python3", "-c", kube.CLIENT]
    command = ["kubectl", "exec", "-n", namespace, "deployment/aim"]
    keep = [*command, "-c", "tracking", *client, "keep_creation_lock", "/aim", "--pause", "10"]
    with subprocess.Popen(keep, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        waited = kube.kubectl(*command[1:], "-c", "aim", *client, "await_creation_lock", "/aim")
    assert float(waited.split()[-1]) > 3


def health(namespace: str, port: int) -> str:
    """What the supervisor of a container says to `/readyz`: the port is one of the pod, of which no Service knows."""
    script = f"""
import urllib.error, urllib.request
try:
    answer = urllib.request.urlopen("http://127.0.0.1:{port}/readyz", timeout=10)
except urllib.error.HTTPError as error:
    answer = error
print(answer.read().decode())
"""
    return kube.kubectl("exec", "-n", namespace, "deployment/aim", "-c", "aim", "--", "python3", "-c", script)


def test_clients_wait_while_the_volume_is_full(namespace: str, folder: Path, volumes: Volumes) -> None:
    """The pod stays in the Service, and no container restarts; when there is room, the run goes on and is whole."""
    with volumes.small_disk(namespace, 160) as storage:
        client = both(namespace, storage, folder)
        kube.apply(kube.writer("before", namespace, kube.claim_of("aim")))
        before = kube.written("before", namespace)
        url = f"aim://aim.{namespace}.svc:53800"
        kube.apply(kube.remote_writer("during", namespace, url, "--points", 200, "--pause", 0.1))
        kube.wait_for(lambda: "during" in going_on(client.page), seconds=60, what="a run")
        ready = kube.ready_since(namespace)
        with client.running(kube.POLL, f"http://aim.{namespace}.svc{CHEAP}", stdin=True) as polling:
            volumes.run(f"dd if=/dev/zero of=/host/{namespace}/filler bs=64k 2>/dev/null || true")
            kube.wait_for(lambda: "no space left" in health(namespace, 53801), seconds=30, what="the notice")
            time.sleep(20)  # longer than a pod stays ready that fails its probes
            assert kube.found("pod", "during", "-n", namespace)["status"]["phase"] == "Running"
            assert kube.ready_since(namespace) == ready
            volumes.run(f"rm /host/{namespace}/filler")
            runs = kube.written("during", namespace)
            assert kube.outage(polling) == 0
        assert kube.ready_since(namespace) == ready
        assert kube.restarts(namespace) == {"aim": 0, "tracking": 0}
        assert list(runs.values()) == [200]
        kube.await_runs(before | runs, namespace)

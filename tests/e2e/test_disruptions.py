"""What happens to requests, to runs and to the one server when its pod is taken away."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance, measured
from tests.e2e.kube import Client, Manifest

CHEAP = "/api/projects/pinned-sequences"
QUERY_SECONDS = 15
BASE_RUNS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server with runs in it, and a pod that asks it."""

    namespace: str
    manifests: Path
    client: Client
    volumes: Volumes
    base: dict[str, int]

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://aim.{self.namespace}.svc"

    def query(self, loops: int) -> str:
        """A search that evaluates 90,000 steps so many times for every run of the base, and finds them all."""
        expression = (
            f"run.experiment == 'base' and sum(1 for a in range(900) for b in range(100) for c in range({loops}))"
        )
        return f"{self.url}/api/runs/search/run/?q={quote(expression)}"

    def slow_query(self) -> str:
        """A search that takes about as long as a query shall take."""
        seconds = float(self.client.python(TIMED, self.query(100)).rpartition("took ")[2])
        return self.query(int(100 * QUERY_SECONDS / seconds))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, volumes: Volumes) -> Iterator[Site]:
    """One server for all disruptions, one after the other."""
    with kube.namespaces() as (namespace,):
        folder = tmp_path_factory.mktemp("site")
        dist = kube.synthesized(folder, aim=instance(namespace, volumes.host_path(namespace)))
        kube.kubectl("apply", "-f", dist)
        kube.ready(namespace)
        client = Client(namespace=namespace)
        client.start()
        kube.apply(kube.writer("base", namespace, kube.claim_of("aim"), "--runs", BASE_RUNS))
        base = kube.written("base", namespace)
        kube.await_runs(base, namespace)
        yield Site(namespace=namespace, manifests=dist, client=client, volumes=volumes, base=base)


def rollout_restart(site: Site) -> None:
    """`kubectl rollout restart`."""
    kube.kubectl("rollout", "restart", "-n", site.namespace, "deployment/aim")


def image_change(site: Site) -> None:
    """Another image: the same one, under another name."""
    image = kube.server_pod(site.namespace)["spec"]["containers"][0]["image"]
    other = f"{kube.IMAGE}-next" if image == kube.IMAGE else kube.IMAGE
    kube.kubectl("set", "image", "-n", site.namespace, "deployment/aim", f"aim={other}")


def pod_deletion(site: Site) -> None:
    """`kubectl delete pod`."""
    name = kube.server_pod(site.namespace)["metadata"]["name"]
    kube.kubectl("delete", "pod", "-n", site.namespace, name, "--wait=false")


def container_kill(site: Site) -> None:
    """SIGKILL of everything in the container at once, from the node."""
    site.volumes.kill(kube.server_pod(site.namespace), "supervisor")


def drain(site: Site) -> None:
    """The pod is evicted from its node, which takes pods again at once."""
    pod = kube.server_pod(site.namespace)
    node = pod["spec"]["nodeName"]
    selector = "app.kubernetes.io/component=server,app.kubernetes.io/instance=aim"
    try:
        kube.kubectl("drain", node, f"--pod-selector={selector}", "--delete-emptydir-data", "--timeout=90s")
    finally:
        kube.kubectl("uncordon", node)


Disruption = Callable[[Site], None]
DISRUPTIONS: list[Disruption] = [rollout_restart, image_change, pod_deletion, container_kill, drain]


@pytest.mark.parametrize("querying", [False, True], ids=["idle", "querying"])
@pytest.mark.parametrize("disrupt", DISRUPTIONS, ids=lambda disrupt: disrupt.__name__)
def test_no_run_is_lost_and_there_is_one_server(site: Site, disrupt: Disruption, querying: bool) -> None:
    """Runs written before and during are all there; the next server begins when the former one has ended."""
    name = f"{disrupt.__name__}-{'querying' if querying else 'idle'}".replace("_", "-")
    kube.apply(kube.writer(name, site.namespace, kube.claim_of("aim"), "--runs", 12, "--points", 20, "--pause", 0.05))
    kube.ready(site.namespace)
    former = kube.server_pod(site.namespace)
    restarts = former["status"]["containerStatuses"][0]["restartCount"]
    with (
        logs(site.namespace, former) as log,
        query(site, querying) as answer,
        site.client.running(kube.POLL, f"{site.url}{CHEAP}", stdin=True) as polling,
    ):
        time.sleep(1)
        began = time.monotonic()
        disrupt(site)
        kube.wait_for(lambda: replaced(site, former, restarts), seconds=150, what="the next server")
        measured(f"{name}: until the next server is ready", time.monotonic() - began)
        time.sleep(1)
        measured(f"{name}: requests fail for", kube.outage(polling))
        if querying and disrupt is not container_kill:
            whole = answer()
            assert [run for run in site.base if run not in whole] == []
    stopped, started = moment(log, "stopped"), moment(now(site.namespace), "serving /aim")
    if disrupt is not container_kill:
        assert stopped
        assert started
        assert stopped < started
    kube.await_runs(site.base | kube.written(name, site.namespace), site.namespace)


def replaced(site: Site, former: Manifest, restarts: int) -> bool:
    """Whether another server answers."""
    pod = kube.server_pod(site.namespace)
    (status,) = pod["status"].get("containerStatuses", [{"ready": False, "restartCount": 0}])
    other = pod["metadata"]["uid"] != former["metadata"]["uid"] or status["restartCount"] > restarts
    return bool(other and status["ready"])


@contextlib.contextmanager
def logs(namespace: str, pod: Manifest) -> Iterator[list[str]]:
    """What a pod says until it ends."""
    lines: list[str] = []
    command = ["kubectl", "logs", "-f", "--timestamps", "-n", namespace, pod["metadata"]["name"]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as following:
        try:
            yield lines
        finally:
            following.terminate()
            lines.extend(following.communicate()[0].splitlines())


def now(namespace: str) -> list[str]:
    """What the server says that is there now."""
    name = kube.server_pod(namespace)["metadata"]["name"]
    return kube.kubectl("logs", "--timestamps", "-n", namespace, name).splitlines()


def moment(lines: list[str], text: str) -> datetime | None:
    """When a line was said."""
    times = [line.split(" ", 1)[0] for line in lines if line.rstrip().endswith(text) or f": {text}" in line]
    return datetime.fromisoformat(times[-1][:26].rstrip("Z") + "+00:00") if times else None


@contextlib.contextmanager
def query(site: Site, querying: bool) -> Iterator[Callable[[], str]]:
    """A slow query that has begun, and its answer at the end."""
    if not querying:
        yield str
        return
    with site.client.running(TIMED, site.slow_query()) as running:

        def answer() -> str:
            output, errors = running.communicate(timeout=120)
            assert running.returncode == 0, errors
            body, _, seconds = output.rpartition("took ")
            measured("the query took", float(seconds))
            return body

        time.sleep(2)
        yield answer


TIMED = """
import re, sys, time, urllib.request
begin = time.monotonic()
with urllib.request.urlopen(sys.argv[1], timeout=120) as answer:
    print(*set(re.findall("[0-9a-f]{24}", answer.read().decode(errors="replace"))), "took", time.monotonic() - begin)
"""
"""Prints the runs in an answer, and how long it took."""


GUIDE = 'echo "N" | aim init --repo /aim && aim up --host 0.0.0.0 --port 43800 --workers 2 --repo /aim'


def guide(namespace: str, volume: Manifest) -> list[Manifest]:
    """The Deployment and Service of Aim's own guide, `containers` made a list; its volume is what the test gives it."""
    container = {
        "name": "aim",
        "image": kube.IMAGE,
        "command": ["/bin/sh", "-c", GUIDE],
        "ports": [{"containerPort": 43800, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}},
        "volumeMounts": [{"mountPath": "/aim", "name": "aim-runs"}],
        "securityContext": {"runAsUser": 0},
    }
    app = {"matchLabels": {"app": "aim"}}
    pod = {"containers": [container], "volumes": [{"name": "aim-runs", **volume}]}
    template = {"metadata": {"labels": {"app": "aim"}}, "spec": pod}
    meta = {"name": "guide", "namespace": namespace}
    ports = [{"port": 80, "targetPort": 43800}]
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {"selector": app, "template": template},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": {"app": "aim"}, "ports": ports}},
    ]


def test_the_guides_manifests_beside_ours(namespace: str, volumes: Volumes) -> None:
    """How long the guide's pod takes to be deleted, and how long requests fail meanwhile; nothing is claimed of it."""
    path = volumes.host_path(namespace, owner=0)["hostPath"]["path"]
    kube.kubectl("create", "namespace", namespace)
    kube.apply(*guide(namespace, {"hostPath": {"path": path}}))
    client = Client(namespace=namespace)
    client.start()
    url = f"http://guide.{namespace}.svc{CHEAP}"
    kube.wait_for(lambda: client.get(url) or "{}", seconds=120, what="the guide's server")
    (pod,) = kube.found("pods", "-n", namespace, "-l", "app=aim")["items"]
    with client.running(kube.POLL, url, stdin=True) as polling:
        began = time.monotonic()
        kube.kubectl("delete", "pod", "-n", namespace, pod["metadata"]["name"], seconds=90)
        measured("the guide's manifests: kubectl delete pod", time.monotonic() - began)
        kube.wait_for(lambda: client.get(url, seconds=2), seconds=90)
        measured("the guide's manifests: requests fail for", kube.outage(polling))


def test_a_deleted_pod_is_gone_within_seconds(site: Site) -> None:
    """`kubectl delete pod` of an idle server does not wait for the grace period."""
    kube.ready(site.namespace)
    name = kube.server_pod(site.namespace)["metadata"]["name"]
    began = time.monotonic()
    kube.kubectl("delete", "pod", "-n", site.namespace, name)
    assert measured("kubectl delete pod", time.monotonic() - began) < 5
    kube.ready(site.namespace)

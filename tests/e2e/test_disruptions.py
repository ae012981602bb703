"""What happens to requests, to runs and to the one server when its pod is taken away."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import pytest

from bench.load import CHEAP
from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance, measured
from tests.e2e.guide import guide
from tests.e2e.kube import Client, Manifest

BASE_RUNS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server with runs in it, and a pod that asks it."""

    namespace: str
    client: Client
    volumes: Volumes
    base: dict[str, int]

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://aim.{self.namespace}.svc"


def slow_search(namespace: str) -> str:
    """A search that takes some 10 s: much of what a query may cost, for every run of the base, and finds them all."""
    query = "run.experiment == 'base' and sum(1 for a in range(250) for b in range(190) if a % 7 >= 0)"
    return f"http://aim.{namespace}.svc/api/runs/search/run/?q={quote(query)}"


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
        kube.apply(kube.writer("base", namespace, kube.claim_of("aim"), "--runs", BASE_RUNS, "--points", 1))
        base = kube.written("base", namespace)
        kube.await_runs(base, namespace)
        yield Site(namespace=namespace, client=client, volumes=volumes, base=base)


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
    site.volumes.signal(kube.server_pod(site.namespace), "supervisor")


def eviction(site: Site) -> None:
    """What `kubectl drain` asks for each pod of a node; the node itself, which others use too, stays open."""
    name = kube.server_pod(site.namespace)["metadata"]["name"]
    metadata = {"name": name, "namespace": site.namespace}
    request = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{site.namespace}/pods/{name}/eviction"
    kube.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(request))


Disruption = Callable[[Site], None]
DISRUPTIONS: list[Disruption] = [rollout_restart, image_change, pod_deletion, container_kill, eviction]


@pytest.mark.parametrize("querying", [False, True], ids=["idle", "querying"])
@pytest.mark.parametrize("disrupt", DISRUPTIONS, ids=lambda disrupt: disrupt.__name__)
def test_no_run_is_lost_and_there_is_one_server(site: Site, disrupt: Disruption, querying: bool) -> None:
    """Runs written before and during are all there; the next server begins when the former one has ended."""
    name = f"{disrupt.__name__}-{'querying' if querying else 'idle'}".replace("_", "-")
    kube.ready(site.namespace)
    former = kube.server_pod(site.namespace)
    restarts = former["status"]["containerStatuses"][0]["restartCount"]
    with (
        logs(site.namespace, former) as log,
        writing(site, name),
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
    if disrupt is not container_kill:
        stopped, started = moment(log, "stopped"), moment(now(site.namespace), "serving /aim")
        assert stopped < started
    kube.await_runs(site.base | kube.written(name, site.namespace), site.namespace)


@contextlib.contextmanager
def writing(site: Site, name: str) -> Iterator[None]:
    """Record runs, from before what happens until after it."""
    runs = ["--runs", 40, "--points", 20, "--pause", 0.05]
    kube.apply(kube.writer(name, site.namespace, kube.claim_of("aim"), *runs))
    kube.wait_for(lambda: "{" in kube.kubectl("logs", "-n", site.namespace, name), seconds=60, what="a first run")
    yield
    assert kube.found("pod", name, "-n", site.namespace)["status"]["phase"] == "Running"


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


def moment(lines: list[str], text: str) -> datetime:
    """When the supervisor said something last."""
    times = [line.split(" ", 1)[0] for line in lines if f"aim-supervisor: {text}" in line]
    return datetime.fromisoformat(times[-1][:26].rstrip("Z") + "+00:00")


@contextlib.contextmanager
def query(site: Site, querying: bool) -> Iterator[Callable[[], str]]:
    """A slow query that still runs when the disruption begins, and its answer at the end."""
    if not querying:
        yield str
        return
    with site.client.running(TIMED, slow_search(site.namespace)) as running:

        def answer() -> str:
            output, errors = running.communicate(timeout=120)
            assert running.returncode == 0, errors
            body, _, seconds = output.rpartition("took ")
            measured("the query took", float(seconds))
            return body

        time.sleep(2)
        assert running.poll() is None
        yield answer


TIMED = """
import re, sys, time, urllib.request
begin = time.monotonic()
with urllib.request.urlopen(sys.argv[1], timeout=120) as answer:
    print(*set(re.findall("[0-9a-f]{24}", answer.read().decode(errors="replace"))), "took", time.monotonic() - begin)
"""
"""Prints the runs in an answer, and how long it took."""


def test_the_guides_manifests_beside_ours(namespace: str, volumes: Volumes) -> None:
    """How long the guide's pod takes to be deleted, and how long requests fail meanwhile; nothing is claimed of it."""
    kube.kubectl("create", "namespace", namespace)
    path = volumes.host_path(namespace, owner=0)["hostPath"]["path"]
    kube.apply(*guide(namespace, {"hostPath": {"path": path}}))
    client = Client(namespace=namespace)
    client.start()
    url = f"http://my-aim-service.{namespace}.svc{CHEAP}"
    kube.wait_for(lambda: client.get(url), seconds=120, what="the guide's server")
    (pod,) = kube.found("pods", "-n", namespace, "-l", "app=my-aim-deployment")["items"]
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

"""What strangers try, on a server of the cluster: each of these works on Aim's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance
from tests.e2e.kube import Client
from tests.supervisor.chromium import chromium, site

_COMMAND = 'run.db.engine.dialect.loaded_dbapi.datetime.sys.modules["os"].system("touch /aim/{}")'


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server with a tracking server beside it, and runs in it.

    Attributes:
        namespace: where it is.
        client: a pod beside it.
        volumes: to look into its volume.
        runs: what it must still have afterwards.
    """

    namespace: str
    client: Client
    volumes: Volumes
    runs: dict[str, int]

    def files(self) -> list[str]:
        """What is on the volume beside the repository and the lock files of servers."""
        found = self.volumes.run(f"ls -A /host/{self.namespace}").split()
        return [name for name in found if not name.startswith(".aim")]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, volumes: Volumes) -> Iterator[Target]:
    """One server for all attacks: none leaves anything behind."""
    with kube.namespaces() as (namespace,):
        content = instance(namespace, volumes.host_path(namespace), tracking={})
        kube.kubectl("apply", "-f", kube.synthesized(tmp_path_factory.mktemp("target"), aim=content))
        kube.ready(namespace)
        client = Client(namespace=namespace)
        client.start()
        kube.apply(kube.writer("train", namespace, kube.claim_of("aim"), "--runs", 3))
        runs = kube.written("train", namespace)
        kube.await_runs(runs, namespace)
        yield Target(namespace=namespace, client=client, volumes=volumes, runs=runs)


def command(name: str) -> str:
    """The path of a search that runs a command in the pod, which makes a file: GHSA-mxvw-cj37-8g2h."""
    query = quote(_COMMAND.format(name))
    return f"/api/runs/search/run/?q={query}"


def test_a_search_runs_no_command(target: Target) -> None:
    """The query is evaluated for every run, and finds none; a good query finds them all."""
    good = quote("run.experiment == 'train'")
    found = target.client.page(f"/api/runs/search/run/?q={good}")
    assert all(run in found for run in target.runs)
    found = target.client.python(ASK, f"http://aim.{target.namespace}.svc{command('by-get')}")
    assert not any(run in found for run in target.runs)
    assert target.files() == []


ASK = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode(errors="replace"))
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode(errors="replace"))
"""
"""Prints an answer, of whatever status."""

FOREIGN_PAGE = """
async ({web, tracking, byFetch, byImage, run, nothing, repository}) => {
    const learned = []
    const ask = async (url, options) => {
        try { learned.push(await (await fetch(url, options)).text()) } catch (error) { learned.push("") }
    }
    const show = url => new Promise(done => {
        const image = new Image()
        image.onload = image.onerror = done
        image.src = url
    })
    const post = body => ({method: "POST", mode: "no-cors", body: JSON.stringify(body)})
    await ask(`${web}/api/projects/`)
    await ask(`${web}/api/experiments/`, {credentials: "include"})
    await ask(byFetch, {mode: "no-cors"})
    await show(byImage)
    await ask(`${web}/api/experiments/`, post({name: "foreign"}))
    await ask(`${web}/api/runs/delete-batch/`, post([run]))
    const handler = {resource_handler: "h"}
    await ask(`${tracking}/get-resource/`, post({...handler, resource_type: "Repo", args: nothing}))
    await ask(`${tracking}/read-instruction/`, post({...handler, method_name: "rm", args: repository}))
    return learned
}
"""
"""What a page of another origin tries; returns the answers that it can read."""

ENCODED = {"nothing": "AAAAAAABAAAABw==", "repository": "AAAAAAABAAAABgoAAAD+AAAAAAAAAAD+AAUAAAAEL2FpbQ=="}
"""Arguments as Aim's client encodes them: `{}` and `("/aim",)`."""


def attacked(page: Page, web: int, tracking: int, run: str) -> list[str]:
    """Have a page try everything on servers at ports of the loopback; what it learned."""
    url = f"http://localhost:{web}"
    commands = {"byFetch": url + command("by-fetch"), "byImage": url + command("by-image")}
    arguments = {
        "web": url,
        "tracking": f"http://localhost:{tracking}/tracking/evil",
        "run": run,
        **commands,
        **ENCODED,
    }
    return list(page.evaluate(FOREIGN_PAGE, arguments))


def test_a_page_of_another_origin_gets_nothing_through_a_port_forward(target: Target) -> None:
    """A user whose browser reaches Aim by `kubectl port-forward` opens a page: it learns, changes, runs nothing."""
    with (
        kube.forwarded(target.namespace, 80) as web,
        kube.forwarded(target.namespace, 53800) as tracking,
        site("<title>foreign</title>") as foreign,
        chromium() as browser,
    ):
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{foreign}/")
        assert attacked(page, web, tracking, next(iter(target.runs))) == [""] * 7
        assert page.title() == "foreign"
        page.evaluate("url => { location.href = url }", f"http://localhost:{web}/")  # a link, which is allowed
        page.wait_for_url(f"http://localhost:{web}/**")
        page.wait_for_function("document.title.includes('Aim')")
    assert target.files() == []
    experiments = json.loads(target.client.page("/api/experiments/"))
    assert "foreign" not in [each["name"] for each in experiments]
    kube.await_runs(target.runs, target.namespace)

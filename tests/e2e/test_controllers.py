"""Through real controllers, Traefik and Contour with Envoy: people log in, machines record, searches of minutes end."""

from __future__ import annotations

import base64
import contextlib
import functools
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.e2e import controllers, kube, proxies
from tests.e2e.conftest import Volumes, instance, measured
from tests.e2e.kube import Client, Manifest
from tests.e2e.logins import REACH, make_cookie_secret, make_tokens
from tests.e2e.proxies import ENVOY, TRAEFIK, Proxy
from tests.supervisor.chromium import chromium

INGRESS, ROUTE = "aim.example.com", "route.example.com"
"""Host names of the two ways in."""

RUNS, EXPERIMENT, SECONDS = 20, "unannounced", 22
ATTACKER = (kube.ROOT / "tests/e2e/attacker.py").read_text(encoding="utf-8")
PORTS = 4180, 43800, 43801, 53800, 53801


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server with a login behind a controller.

    Attributes:
        proxy: the controller.
        address: of its Service.
        namespace: of the server.
        client: a pod that knows the host names as the controller's.
        credentials: of a machine.
        volumes: to halt its processes.
    """

    proxy: Proxy
    address: str
    namespace: str
    client: Client
    credentials: str
    volumes: Volumes

    @property
    def basic(self) -> str:
        """The credentials as a header."""
        return "Basic " + base64.b64encode(self.credentials.encode()).decode()

    def seen_from_outside(self, manifest: Manifest) -> Manifest:
        """Give a pod the host names of the controller, and the authority of its certificate."""
        names = {"ip": self.address, "hostnames": [INGRESS, ROUTE]}
        trust = [{"name": name, "value": "/ca/ca.crt"} for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")]
        container = manifest["spec"]["containers"][0]
        container["env"] = trust
        container["volumeMounts"].append({"name": "ca", "mountPath": "/ca"})
        manifest["spec"]["volumes"].append({"name": "ca", "configMap": {"name": "ca"}})
        manifest["spec"]["hostAliases"] = [names]
        return manifest


def certificate(folder: Path) -> tuple[Path, Path, Path]:
    """An authority, and a certificate of both host names that it has signed, with its key."""
    authority, key, signed = folder / "ca.crt", folder / "tls.key", folder / "tls.crt"
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 2"
    names = f"subjectAltName=DNS:{INGRESS},DNS:{ROUTE}"
    signing = f"-subj /CN={INGRESS} -CA ca.crt -CAkey ca.key -keyout tls.key -out tls.crt"
    for options in (
        "-subj /CN=authority -keyout ca.key -out ca.crt",
        f"{signing} -addext {names} -addext basicConstraints=CA:FALSE",
    ):
        subprocess.run([*new.split(), *options.split()], cwd=folder, check=True, capture_output=True)
    return authority, key, signed


@pytest.fixture(scope="module")
def definitions() -> Iterator[None]:
    """The real custom resource definitions of the Gateway API, and Contour's."""
    proxies.programs()
    with controllers.defined(proxies.definitions()):
        yield


@pytest.fixture(scope="module", params=[TRAEFIK, ENVOY], ids=lambda proxy: proxy.name)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, volumes: Volumes, login_image: str
) -> Iterator[Site]:
    """A server below base paths, with an Ingress whose controller is named, a route, and runs for long searches."""
    request.getfixturevalue("definitions")
    proxy: Proxy = request.param
    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp("site")
        authority, key, signed = certificate(folder)
        address = stack.enter_context(proxies.running(proxy, key, signed))
        home, elsewhere = stack.enter_context(kube.namespaces(2))
        kube.kubectl("create", "namespace", home)
        kube.kubectl("create", "namespace", elsewhere)
        kube.kubectl("create", "configmap", "ca", "-n", elsewhere, f"--from-file={authority}")
        kube.kubectl("create", "secret", "tls", "aim-tls", "-n", home, f"--key={key}", f"--cert={signed}")
        make_cookie_secret(home)
        (credentials,) = make_tokens(home, "ci")
        content = instance(home, volumes.host_path(home), **server(proxy, login_image)) | {"createNamespace": False}
        kube.kubectl("apply", "-f", kube.synthesized(folder, aim=content))
        kube.ready(home, seconds=300)
        client = Client(namespace=elsewhere)
        started = Site(
            proxy=proxy, address=address, namespace=home, client=client, credentials=credentials, volumes=volumes
        )
        kube.apply(started.seen_from_outside(kube.pod("client", elsewhere, ["sleep", "infinity"])))
        kube.await_pod("client", elsewhere)
        kube.apply(kube.writer(EXPERIMENT, home, kube.claim_of("aim"), "--runs", RUNS, "--points", 1))
        kube.await_runs(kube.written(EXPERIMENT, home, seconds=600), home)
        yield started


def server(proxy: Proxy, image: str) -> dict[str, Any]:
    """Its options."""
    name = proxy.name
    admitted = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": proxy.namespace}},
        "podSelector": {"matchLabels": dict(proxy.labels)},
    }
    return {
        "basePath": "/aim",
        "tracking": {"basePath": "/track"},
        "login": {
            "image": image,
            "passwords": {"name": "users", "key": "htpasswd"},
            "cookieSecret": {"name": "cookies", "key": "secret"},
        },
        "ingress": {"host": INGRESS, "className": name.lower(), "controller": name, "tlsSecret": "aim-tls"},
        "route": {
            "hostnames": [ROUTE],
            "parents": [{"name": "gateway", "namespace": proxy.namespace}],
            "from": [admitted],
        },
    }


def test_people_log_in_over_tls(site: Site) -> None:
    """Without a login there is its page, and nothing of a run; afterwards there are the runs."""
    user, _, token = site.credentials.partition(":")
    said = kube.wait_for(lambda: site.client.python(LOG_IN, f"https://{INGRESS}/aim", user, token), seconds=60)
    assert said.split() == ["403", "401", "200", "200", "secure"]


LOG_IN = """
import http.cookiejar, sys, urllib.error, urllib.parse, urllib.request
url, user, password = sys.argv[1:]
jar = http.cookiejar.CookieJar()
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

def ask(path, wanted, form=None):
    body = form and urllib.parse.urlencode(form).encode()
    try:
        answer = opener.open(url + path, body, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    text = answer.read().decode(errors="replace")
    assert wanted in text, (path, answer.status, text[:500])
    print(answer.status)

ask("/", "Log in to Aim")
ask("/api/projects/", "")
ask("/oauth2/sign_in", "<title>Aim</title>", {"username": user, "password": password, "rd": "/aim/"})
ask("/api/projects/", "telemetry")
print(*{"secure" if cookie.secure else "plain" for cookie in jar})
"""
"""Logs in as a browser does; prints what it was answered before, then, and afterwards."""


def test_a_browser_shows_the_runs_after_a_login(site: Site) -> None:
    """The login's page comes first; with a password, the page of runs, with a run in it."""
    user, _, token = site.credentials.partition(":")
    with (
        kube.forwarded(site.proxy.namespace, 443, service="proxy") as port,
        chromium(ports={f"{INGRESS}:443": port}) as browser,
    ):
        page = browser.new_page(ignore_https_errors=True)  # the authority is known to the test's clients only
        page.goto(f"https://{INGRESS}/aim/runs")
        page.get_by_label("User").fill(user)
        page.get_by_label("Password").fill(token)
        page.get_by_role("button", name="Log in").click()
        expect(page).to_have_url(f"https://{INGRESS}/aim/runs")
        page.get_by_text(EXPERIMENT).first.wait_for(timeout=60_000)


@pytest.mark.parametrize("url", [f"https://{INGRESS}", f"https://{ROUTE}"])
def test_a_long_search_gets_its_whole_answer(site: Site, url: str) -> None:
    """A search of some 20 s, through Ingress and route alike."""
    found, seconds = search(site, url)
    measured(f"a search through {site.proxy.name}, {url.partition('.')[0]}", seconds)
    assert found >= RUNS  # each of them names it
    assert seconds > 15


def search(site: Site, url: str) -> tuple[int, float]:
    """How often a search of some 20 s names the experiment of the runs, and how long it takes.

    Aim stands still meanwhile: how long a search takes by itself depends on the machine.
    """
    where = f"{url}/aim/api/runs/search/run/?q={quote(f'run.experiment == {EXPERIMENT!r}')}"
    pod = kube.server_pod(site.namespace)
    with site.client.running(SEARCH, where, site.basic, EXPERIMENT) as asking:
        site.volumes.signal(pod, "host", "STOP")
        time.sleep(SECONDS)
        site.volumes.signal(pod, "host", "CONT")
        said, errors = asking.communicate(timeout=60)
    if asking.returncode:
        raise kube.FailedError(errors)
    found, seconds = said.split()
    return int(found), float(seconds)


SEARCH = """
import sys, time, urllib.request
time.sleep(3)  # until Aim stands still
begin = time.monotonic()
question = urllib.request.Request(sys.argv[1], headers={"Authorization": sys.argv[2]})
with urllib.request.urlopen(question, timeout=120) as answer:
    print(answer.read().count(sys.argv[3].encode()), time.monotonic() - begin)
"""


@pytest.mark.parametrize("url", [f"https://{INGRESS}:443", f"http://{ROUTE}:80"])
def test_machines_record_through_the_controller(site: Site, url: str) -> None:
    """With a token, over HTTP and WebSocket; by TLS with the certificate checked."""
    name = f"by-{url.partition(':')[0]}"
    repository = f"aim://{site.credentials}@{url.partition('://')[2]}/track"
    kube.apply(site.seen_from_outside(kube.remote_writer(name, site.client.namespace, repository)))
    kube.await_runs(kube.written(name, site.client.namespace), site.namespace)


def test_nothing_is_told_without_a_login(site: Site) -> None:
    """Through Ingress and route, and past the controller from the server's own namespace, whatever is asked and how."""
    beside = Client(namespace=site.namespace, name="beside")
    beside.start()
    service = f"aim.{site.namespace}.svc"
    for client, *where in (
        (site.client, site.address, INGRESS),
        (site.client, site.address, ROUTE),
        (beside, service, service),
    ):
        assert client.python(ATTACKER, *where, EXPERIMENT, seconds=300) == "", where
        # the same requests with credentials: those of them that find something could have been told
        assert "GET /aim/api/runs/search" in client.python(ATTACKER, *where, EXPERIMENT, site.basic, seconds=300)


def test_nobody_but_the_controller_gets_to_the_pod(site: Site) -> None:
    """A pod beside the proxy reaches no port of it, nor does one of another namespace that has the proxy's labels."""
    beside = Client(namespace=site.proxy.namespace, name="beside")
    beside.start()
    copy = kube.pod("copy", site.client.namespace, ["sleep", "infinity"])
    copy["metadata"]["labels"] = dict(site.proxy.labels)
    kube.apply(copy)
    kube.await_pod("copy", site.client.namespace)
    address = kube.server_pod(site.namespace)["status"]["podIP"]
    for client in (beside, Client(namespace=site.client.namespace, name="copy")):
        assert client.python(REACH, address, *PORTS) == ""
    assert Client(namespace=site.proxy.namespace, name="proxy").python(REACH, address, *PORTS).split() == ["4180"]


def test_the_route_is_held_to_the_rules_of_its_definition(site: Site) -> None:
    """The API server has them: what ours would break by other time-outs is refused."""
    route = kube.found("httproute", "aim", "-n", site.namespace)
    (parent,) = route["status"]["parents"]
    assert {each["type"]: each["status"] for each in parent["conditions"]}["Accepted"] == "True"
    wrong = [{"op": "add", "path": "/spec/rules/0/timeouts", "value": {"request": "1s", "backendRequest": "2s"}}]
    patch = ["patch", "httproute", "aim", "-n", site.namespace, "--dry-run=server", "--type=json"]
    with pytest.raises(kube.FailedError, match="backendRequest timeout cannot be longer than request timeout"):
        kube.kubectl(*patch, "-p", str(wrong).replace("'", '"'))


def test_without_the_time_outs_contour_ends_a_search(site: Site) -> None:
    """After 15 s: so what the manifests say of time-outs is what brings the whole answer."""
    if site.proxy is not ENVOY:
        pytest.skip("Traefik has no limit for answers")
    rules = len(kube.found("httproute", "aim", "-n", site.namespace)["spec"]["rules"])
    removal = ",".join(f'{{"op": "remove", "path": "/spec/rules/{rule}/timeouts"}}' for rule in range(rules))
    kube.kubectl("patch", "httproute", "aim", "-n", site.namespace, "--type=json", "-p", f"[{removal}]")
    kube.kubectl("annotate", "ingress", "aim", "-n", site.namespace, "projectcontour.io/response-timeout-")
    for url in (f"https://{INGRESS}", f"https://{ROUTE}"):
        kube.wait_for(functools.partial(ended, site, url), seconds=120, what="an answer that is cut off")


def ended(site: Site, url: str) -> bool:
    """Whether a search was ended on the way; the controller may not yet have seen what was changed."""
    try:
        search(site, url)
    except kube.FailedError as error:
        return "504" in str(error)
    return False

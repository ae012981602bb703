"""A server with a login that runs: the real Aim, tracking, oauth2-proxy and a provider, in the network of one pod."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cdk8s
import pytest
from playwright.sync_api import Browser

from app.login import TOKEN_COST, entry
from constructs_lib import Destination, IngressOptions, IpBlock, LoginOptions, TrackingOptions
from tests.harness.aim_environment import PYTHON
from tests.harness.building import aim_server, dynamic
from tests.harness.login_pod import Asker, Login, Volumes, asking, logging_in, providing, volumes
from tests.harness.logins import by_password, by_provider, oidc
from tests.harness.manifest_rules import Manifest, pod_of
from tests.harness.sandbox import Pod, need_aim, own, running, wait_for
from tests.supervisor.chromium import chromium

BASE_PATH, TRACKING_PATH = "/aim", "/track"
PROVIDER, PASSWORDS = 80, 81
"""Ports of the two logins: one by a provider, and one by passwords."""

TOKEN, PASSWORD = "5f9c3e1d7b2a48c6", "correct horse"
"""Of the machine `ci`, and of the person `ann`."""


def htpasswd(**passwords: str) -> str:
    """A file of entries, as `make login` writes them."""
    return "".join(f"{entry(user, text, TOKEN_COST)}\n" for user, text in passwords.items())


MEMBERS = [
    {"sub": "max", "email": "max@example.com", "groups": ["cn=ml,dc=example", "staff"]},
    {"sub": "sue", "email": "sue@example.com", "groups": ["cn=ml", "dc=example", "sales"]},
]
"""Users that the provider knows more of than an e-mail address."""

SECRETS = {
    "cookie-secret": "0123456789abcdef0123456789abcdef",
    "client-secret": "client secret",
    "htpasswd": htpasswd(ci=TOKEN, ann=PASSWORD),
}


def manifests_of(login: LoginOptions) -> list[Manifest]:
    """Those of a server with a login behind an Ingress without TLS, as the browser here trusts no certificate."""
    chart = cdk8s.Chart(cdk8s.Testing.app(), "chart", namespace="ml")
    server = aim_server(chart, "server", storage=dynamic(chart), login=login, base_path=BASE_PATH)
    server.add_tracking(TrackingOptions(base_path=TRACKING_PATH))
    server.expose_via_ingress(IngressOptions(host="aim.example.com"))
    return list(cdk8s.Testing.synth(chart))


def provided(**options: Any) -> LoginOptions:
    """A login by the provider that runs, with tokens for machines."""
    reach = Destination(ip_block=IpBlock(cidr="127.0.0.0/8"))
    provider = oidc(issuer="http://127.0.0.1:9400", allow_to=[reach], **options)
    return by_provider(oidc=provider, passwords=by_password().passwords, allow_plain_http=True)


@dataclasses.dataclass(kw_only=True)
class Site:
    """What runs.

    Attributes:
        pod: with Aim and its tracking server in it, both on the loopback.
        ask: sends requests.
        by_provider: manifests of the login by a provider.
        by_password: manifests of the login by passwords.
        folder: for what is mounted in the logins.
    """

    pod: Pod
    ask: Asker
    by_provider: list[Manifest]
    by_password: list[Manifest]
    folder: Path

    def mounted(self, name: str, manifests: list[Manifest]) -> Volumes:
        """The volumes of another login."""
        return volumes(manifests, self.folder / name, SECRETS)


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A repository with something for every page, served with no login yet."""
    need_aim()
    volume, folder = tmp_path_factory.mktemp("volume"), tmp_path_factory.mktemp("logins")
    showcase = Path(__file__).parents[1] / "supervisor/showcase.py"
    subprocess.run([PYTHON, showcase, volume], check=True, capture_output=True)
    own(volume, *volume.rglob("*"))
    people = manifests_of(provided())
    words = manifests_of(by_password(allow_plain_http=True))
    (tracking,) = [each for each in pod_of(people)["containers"] if each["name"] == "tracking"]
    with running(people, volume) as pod, pod.running(tracking) as track, asking(pod) as ask:
        pod.await_ready(f"{BASE_PATH}/api/projects/pinned-sequences")
        wait_for(lambda: track.health("readyz", port=53801)[0] == 200, seconds=90, still=track)
        yield Site(pod=pod, ask=ask, by_provider=people, by_password=words, folder=folder)


@pytest.fixture(scope="package")
def provider_login(site: Site) -> Iterator[Login]:
    """The login by a provider, and tokens for machines."""
    with providing(site.pod, *MEMBERS):
        mounted = site.mounted("provider", site.by_provider)
        with logging_in(site.pod, site.by_provider, mounted, port=PROVIDER) as login:
            yield login


@pytest.fixture(scope="package")
def password_login(site: Site) -> Iterator[Login]:
    """The login by passwords."""
    mounted = site.mounted("passwords", site.by_password)
    with logging_in(site.pod, site.by_password, mounted, port=PASSWORDS) as login:
        yield login


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:
    """Chromium in the pod's network; Playwright's event loop goes on until its end, so no other module can have one."""
    with chromium(site.pod.network) as started:
        yield started

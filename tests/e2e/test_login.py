"""A pod with a login, as the kubelet runs it: what is reached without credentials, and what with."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance
from tests.e2e.kube import Client
from tests.e2e.logins import REACH, make_cookie_secret, make_tokens

LOGIN = {
    "passwords": {"name": "users", "key": "htpasswd"},
    "cookieSecret": {"name": "cookies", "key": "secret"},
    "allowPlainHttp": True,
}
RUNS = "/api/runs/active/"

STATUS = """
import sys, urllib.error, urllib.request
question = urllib.request.Request(sys.argv[1], headers={"Authorization": sys.argv[2]} if sys.argv[2:] else {})
try:
    print(urllib.request.urlopen(question, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
"""Prints the status of an answer."""

LISTENING = """
for family in ("tcp", "tcp6"):
    for line in open(f"/proc/net/{family}").readlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            address, port = fields[1].split(":")
            print(int(port, 16), "loopback" if address in {"0100007F", "0" * 24 + "01000000"} else "every")
"""
"""Prints the ports of a pod that something listens on, and on which addresses."""


def status(client: Client, url: str, credentials: str = "") -> int:
    """What a server answers."""
    header = [f"Basic {base64.b64encode(credentials.encode()).decode()}"] if credentials else []
    return int(client.python(STATUS, url, *header))


def missing(namespace: str) -> str:
    """What the cluster says of a pod whose Secret is missing; nothing so far."""
    said = kube.kubectl("describe", "pod", "-n", namespace)
    return said if "FailedMount" in said else ""


def test_a_pod_with_a_login(folder: Path, volumes: Volumes, login_image: str) -> None:
    """It waits for its Secrets, and says for which; then nobody comes in without, past it, or from elsewhere."""
    with kube.namespaces(2) as (home, strangers):
        content = instance(home, volumes.host_path(home), login={**LOGIN, "image": login_image}, tracking={})
        kube.kubectl("apply", "-f", kube.synthesized(folder, aim=content))
        events = kube.wait_for(lambda: missing(home), seconds=120, what="the event of a missing Secret")
        assert 'secret "cookies" not found' in events or 'secret "users" not found' in events
        make_cookie_secret(home)
        (credentials,) = make_tokens(home, "ci")
        kube.ready(home, seconds=300)
        kube.kubectl("create", "namespace", strangers)
        here, there = Client(namespace=home), Client(namespace=strangers)
        for client in (here, there):
            client.start()
        url = f"http://aim.{home}.svc"
        assert status(here, url + RUNS) == 401
        assert status(here, f"{url}:53800/status/") == 401
        assert status(here, url + RUNS, credentials) == 200
        assert status(here, f"{url}:53800/status/", credentials) == 200
        address = kube.server_pod(home)["status"]["podIP"]
        assert here.python(REACH, address, 4180, 43800, 43801, 53800, 53801).split() == ["4180"]
        with pytest.raises(kube.FailedError, match="timed out"):
            there.get(url, seconds=3)
        inside = kube.kubectl("exec", "-n", home, "deployment/aim", "-c", "aim", "--", "python3", "-c", LISTENING)
        listening = dict(line.split() for line in inside.splitlines())
        assert (listening["43800"], listening["53800"], listening["4180"]) == ("loopback", "loopback", "every")
        kube.assert_unchanged(folder / "dist")


def test_machines_record_through_a_login_whose_tokens_change(folder: Path, volumes: Volumes, login_image: str) -> None:
    """With the token of the day: a changed Secret counts without a restart, and the old token does not any more."""
    with kube.namespaces() as (home,):
        kube.kubectl("create", "namespace", home)
        content = instance(home, volumes.host_path(home), login={**LOGIN, "image": login_image}, tracking={})
        make_cookie_secret(home)
        (old,) = make_tokens(home, "ci")
        kube.kubectl("apply", "-f", kube.synthesized(folder, aim={**content, "createNamespace": False}))
        kube.ready(home, seconds=300)
        kube.apply(kube.remote_writer("first", home, f"aim://{old}@aim.{home}.svc:53800"))
        runs = kube.written("first", home)
        client = Client(namespace=home)
        client.start()
        (new,) = make_tokens(home, "ci")
        url = f"http://aim.{home}.svc{RUNS}"
        kube.wait_for(lambda: status(client, url, new) == 200, seconds=180, what="the new token")
        assert status(client, url, old) == 401
        kube.apply(kube.remote_writer("second", home, f"aim://{new}@aim.{home}.svc:53800"))
        kube.await_runs(runs | kube.written("second", home), home)
        assert set(kube.restarts(home).values()) == {0}
        assert new not in kube.kubectl("logs", "-n", home, "deployment/aim", "--all-containers")

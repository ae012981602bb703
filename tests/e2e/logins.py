"""Secrets of a login on the cluster, and the image of it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import yaml

from tests.e2e import kube
from tests.harness import go_tools
from tests.harness.sandbox import skip

IMAGE = "aim.local/oauth2-proxy:e2e"
MODULE = kube.ROOT / "tests/harness/oauth2_proxy"

REACH = """
import socket, sys
for port in sys.argv[2:]:
    try:
        socket.create_connection((sys.argv[1], int(port)), 3).close()
        print(port)
    except OSError:
        pass
"""
"""Prints those of some ports that can be reached."""


def image() -> str:
    """Build an image of the login; on another cluster than the project's own, LOGIN_IMAGE names one."""
    named = os.environ.get("LOGIN_IMAGE")
    if named:
        return named
    script = kube.ROOT / "tests/e2e/cluster/image"
    binary = go_tools.built(MODULE, "github.com/oauth2-proxy/oauth2-proxy/v7")
    done = subprocess.run([script, "program", IMAGE, binary], capture_output=True, text=True, check=False)
    if done.returncode:
        skip(f"no image of the login: set LOGIN_IMAGE, or {done.stderr}")
    return IMAGE


def make_tokens(namespace: str, *users: str) -> list[str]:
    """Make the Secret of machines' tokens, as `make login` does; each one's user and token."""
    command = [sys.executable, "-m", "app.login"]
    environment = {**os.environ, "USERS": "", "TOKENS": " ".join(users), "NAMESPACE": namespace, "SECRET": "users"}
    done = subprocess.run(command, cwd=kube.ROOT, env=environment, capture_output=True, text=True, check=True)
    kube.kubectl("apply", "-f", "-", text=done.stdout)
    login, *machines = yaml.safe_load_all(done.stdout)
    assert login["metadata"]["name"] == "users"
    return [str(machine["stringData"]["credentials"]) for machine in machines]


def make_cookie_secret(namespace: str) -> None:
    """Make the Secret that signs cookies."""
    literal = f"--from-literal=secret={secrets.token_hex(16)}"
    kube.kubectl("create", "secret", "generic", "cookies", "-n", namespace, literal)

"""Runs the login's container of rendered manifests: the real oauth2-proxy, in the network of a pod with Aim."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from constructs_lib.access.login import FILES
from tests.harness import go_tools
from tests.harness.manifest_rules import Manifest, pod_of
from tests.harness.sandbox import Pod, skip

_HERE = Path(__file__).parent
_PACKAGE = "github.com/oauth2-proxy/oauth2-proxy/v7"


class Answer(NamedTuple):
    """What a server said."""

    status: int
    headers: str
    body: str


class Asker:
    """Sends requests to the pod's loopback, byte by byte."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def raw(self, port: int, request: str) -> Answer:
        """Send bytes, written as Latin-1."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"port": port, "request": request}) + "\n")
        self._process.stdin.flush()
        text: str = json.loads(self._process.stdout.readline())
        head, _, body = text.partition("\r\n\r\n")
        words = head.split(" ", 2)
        return Answer(int(words[1]) if head.startswith("HTTP/1.1 ") else 0, head, body)

    def get(self, port: int, path: str, *, method: str = "GET", body: str = "", **headers: str) -> Answer:
        """Send a usual request; `_` in the name of a header is `-`."""
        named = {"host": "aim.example.com", "connection": "close", **headers}
        if body:
            named["content-length"] = str(len(body))
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
        return self.raw(port, f"{method} {path} HTTP/1.1\r\n{lines}\r\n{body}")


@contextlib.contextmanager
def asking(pod: Pod) -> Iterator[Asker]:
    """Start to ask in a pod's network."""
    command = [*pod.network, sys.executable, str(_HERE / "asker.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Asker(process)
        finally:
            process.kill()


@dataclasses.dataclass(kw_only=True)
class Login:
    """A running login.

    Attributes:
        process: of oauth2-proxy.
        port: that it listens on.
        log: what it wrote.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path


class Volumes:
    """What the kubelet mounts in the login's container: a folder each, whose files are replaced all at once."""

    def __init__(self, folder: Path, content: Mapping[str, Mapping[str, str]]) -> None:
        self.folder, self._updates = folder, 0
        for name, files in content.items():
            self.update(name, files)

    def update(self, name: str, files: Mapping[str, str]) -> None:
        """Write files as the kubelet does: into a folder of their own, to which a link is moved; the old one goes."""
        self._updates += 1
        volume, data = self.folder / name, f"..{self._updates}"
        (volume / data).mkdir(parents=True)
        for file, text in files.items():
            (volume / data / file).write_text(text, encoding="utf-8")
            link = volume / file
            if not link.is_symlink():
                link.symlink_to(f"..data/{file}")
        current, new = volume / "..data", volume / "..data_tmp"
        former = current.resolve() if current.is_symlink() else None
        new.symlink_to(data)
        new.rename(current)
        if former:
            shutil.rmtree(former)


def volumes(manifests: list[Manifest], folder: Path, secrets: Mapping[str, str]) -> Volumes:
    """The volumes of the login's container.

    Args:
        manifests: with the ConfigMap of the login, where it has one.
        folder: where to make them.
        secrets: by their mounts: `htpasswd`, `cookie-secret`, `client-secret`.
    """
    files = [m["data"] for m in manifests if m["kind"] == "ConfigMap" and "-login-" in m["metadata"]["name"]]
    content = {name: {name: text} for name, text in secrets.items()}
    return Volumes(folder, {**content, **({"files": files[0]} if files else {})})


@contextlib.contextmanager
def logging_in(
    pod: Pod, manifests: list[Manifest], mounted: Volumes, *, port: int, replace: Sequence[tuple[str, str]] = ()
) -> Iterator[Login]:
    """Run the login of manifests in a pod's network, and end it afterwards.

    Args:
        pod: with Aim in it.
        manifests: of a server with a login.
        mounted: what is mounted in its container.
        port: to listen on, instead of its own: that of the proxy in front.
        replace: texts of its arguments, and others in their place.
    """
    (container,) = [each for each in pod_of(manifests)["containers"] if each["name"] == "login"]
    changes = [(FILES, str(mounted.folder)), ("--http-address=:4180", f"--http-address=:{port}"), *replace]
    arguments = [_replaced(argument, changes) for argument in container["args"]]
    binary = go_tools.built(_HERE / "oauth2_proxy", _PACKAGE)
    with tempfile.NamedTemporaryFile() as log:
        command = [*pod.network, str(binary), *arguments]
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"]}, stdout=log, stderr=subprocess.STDOUT)
        try:
            started = Login(process=process, port=port, log=Path(log.name))
            _await(pod, started)
            yield started
        finally:
            process.kill()
            process.wait()


def _replaced(argument: str, changes: Sequence[tuple[str, str]]) -> str:
    for old, new in changes:
        argument = argument.replace(old, new)
    return argument


def _await(pod: Pod, login: Login) -> None:
    end = time.monotonic() + 60
    with asking(pod) as asker:
        while asker.get(login.port, "/ping").status != 200:
            assert login.process.poll() is None, login.log.read_text(encoding="utf-8")
            assert time.monotonic() < end, login.log.read_text(encoding="utf-8")
            time.sleep(0.1)


@contextlib.contextmanager
def providing(pod: Pod, *users: Mapping[str, Any], port: int = 9400) -> Iterator[None]:
    """Run a provider of OpenID Connect in a pod's network, with these users by their claims."""
    claims = [word for user in users for word in ("--user-claims", json.dumps(user))]
    program = Path(sys.executable).with_name("oidc-provider-mock")
    if not program.exists():
        skip("no `oidc-provider-mock` in the environment: it wants Python 3.11")
    command = [*pod.network, str(program), "--port", str(port), *claims]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            with asking(pod) as asker:
                end = time.monotonic() + 60
                while asker.get(port, "/.well-known/openid-configuration").status != 200:
                    assert process.poll() is None
                    assert time.monotonic() < end
                    time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def echoing(pod: Pod, port: int) -> Iterator[None]:
    """Answer on a port of the pod's loopback with the headers that a request has there."""
    process = subprocess.Popen(
        [*pod.network, sys.executable, str(_HERE / "echo.py"), str(port)], stderr=subprocess.DEVNULL
    )
    try:
        with asking(pod) as asker:
            end = time.monotonic() + 60
            while asker.get(port, "/").status != 200:
                assert time.monotonic() < end
                time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


def basic(user: str, password: str) -> str:
    """Credentials, as a header has them."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

"""Runs Aim's web application on a repository, wrapped as in the pod or bare, on this machine's loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.harness.aim_environment import PYTHON
from tests.harness.sandbox import need_aim
from tests.supervisor.asgi_client import Answer

_HERE = Path(__file__).parent
_REQUEST = re.compile(r'"(?P<request>[^"]+?)(?: HTTP/[0-9.]+)?" (?P<status>[0-9]{3})')
RUN = "0" * 24
"""The first run of `showcase.py`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """A running server."""

    port: int
    base_path: str
    log: Path

    def url(self, host: str = "localhost") -> str:
        """Where it is, by one of this machine's names."""
        return f"http://{host}:{self.port}{self.base_path}"

    @property
    def seen(self) -> list[tuple[str, int]]:
        """Every request that it has had, as method and path, with the status of its answer."""
        found = _REQUEST.finditer(self.log.read_text(encoding="utf-8"))
        return [(each["request"], int(each["status"])) for each in found]

    def ask(
        self, path: str, *, method: str = "GET", body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request as a client without a browser does."""
        data = None if body is None else json.dumps(body).encode()
        named = {"content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.url() + path, method=method, data=data, headers=named)
        try:
            answer = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            names = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(status=answer.status, headers=names, body=answer.read())

    def json(self, path: str, *, method: str = "GET", body: object = None) -> Any:
        """What a request of the API answers."""
        return json.loads(self.ask(path, method=method, body=body).body)


@contextlib.contextmanager
def repository(text: str = "<b>a text</b>") -> Iterator[Path]:
    """A repository with something for every page of the UI, and a text wherever a run can have one."""
    need_aim()
    with tempfile.TemporaryDirectory(prefix="aim-") as folder:
        command = [str(PYTHON), str(_HERE / "showcase.py"), folder, "--text", text]
        subprocess.run(command, check=True, capture_output=True)
        yield Path(folder)


@contextlib.contextmanager
def serving(folder: Path, *options: str, base_path: str = "") -> Iterator[Server]:
    """Serve a repository until the end of the block; the options are those of `aim_web.py`."""
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "log")
        command = [*map(str, (PYTHON, _HERE / "aim_web.py", folder, port)), f"--base-path={base_path}", *options]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            _await(process, port, log)
            yield Server(port=port, base_path=base_path, log=log)
        finally:
            process.terminate()
            process.wait(30)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(log.read_text(encoding="utf-8"))
        time.sleep(0.1)

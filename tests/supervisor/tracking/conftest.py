"""A tracking server of Aim's own, and one of the supervisor."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.harness.aim_environment import ENVIRONMENT, MISSING, PYTHON, ROOT
from tests.harness.sandbox import skip

HERE = Path(__file__).parents[1]
REFUSED = "refused by the tracking server, which takes runs and nothing else"


@dataclass(frozen=True, kw_only=True)
class TrackingServer:
    """A tracking server on a repository of its own, `folder/volume/.aim`."""

    folder: Path
    port: int
    pid: int = 0

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The repository, as Aim's client knows it."""
        return f"aim://{self.address}"

    @property
    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    @property
    def logs(self) -> list[str]:
        """Lines that the server has written."""
        return (self.folder / "log").read_text(encoding="utf-8").splitlines()


def run(*command: object, folder: Path, **environment: str) -> str:
    """Run a program in Aim's environment; returns what it prints."""
    variables = {**os.environ, "PATH": f"{ENVIRONMENT}/bin:{os.environ['PATH']}", **environment}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def serving(folder: Path, *command: object, **environment: str) -> Iterator[TrackingServer]:
    """Run a tracking server until it is not needed any more; the command gets its port."""
    if not PYTHON.exists():
        skip(MISSING)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = TrackingServer(folder=folder, port=probe.getsockname()[1])
    (folder / "volume").mkdir()
    run(PYTHON, "-c", "import sys, aim; aim.Repo.from_path(sys.argv[1], init=True)", folder / "volume", folder=folder)
    variables = {**os.environ, "PATH": f"{ENVIRONMENT}/bin:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*map(str, command), "--port", str(server.port)],
            cwd=folder,
            env={**variables, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _await(server, process)
            yield replace(server, pid=process.pid)
        finally:
            process.kill()
            process.wait()


def _await(server: TrackingServer, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, server.logs
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{server.address}/status/", timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError(server.logs)


@contextlib.contextmanager
def bare_server(folder: Path) -> Iterator[TrackingServer]:
    """Run Aim's own tracking server."""
    command = [PYTHON, "-m", "uvicorn", "aim.ext.transport.run:app", "--host", "127.0.0.1", "--log-level", "error"]
    with serving(folder, *command, __AIM_SERVER_MOUNT_REPO_PATH__=f"{folder}/volume/.aim") as server:
        yield server


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """Aim's own tracking server, which nobody attacks."""
    with bare_server(tmp_path_factory.mktemp("bare")) as server:
        yield server


@pytest.fixture(scope="module")
def restricted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """The tracking server of the supervisor; it works as ever when it has been attacked."""
    folder = tmp_path_factory.mktemp("restricted")
    command = [PYTHON, "-m", "supervisor", "accept", "--repository", folder / "volume", "--host", "127.0.0.1"]
    with serving(folder, *command, PYTHONPATH=str(ROOT / "constructs_lib")) as server:
        yield server

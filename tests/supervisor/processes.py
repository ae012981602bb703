"""Runs the supervisor's own functions, and clients, on a folder: in Aim's interpreter, without a pod or a server."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.harness.aim_environment import MISSING, PYTHON
from tests.harness.sandbox import CLIENT, skip

_ROLES = Path(__file__).with_name("roles.py")
MANY_RUNS = Path(__file__).with_name("many_runs.py")


@dataclasses.dataclass(kw_only=True)
class Role:
    """A running process.

    Attributes:
        process: the process; what it reads is a pipe.
        log: where it writes to.
    """

    process: subprocess.Popen[str]
    log: Path

    @property
    def lines(self) -> list[str]:
        """What it has said, without what it told."""
        return [line for line in self._all if not line.startswith("{")]

    @property
    def told(self) -> dict[str, Any]:
        """The last value of everything that it told."""
        told: dict[str, Any] = {}
        for line in self._all:
            if line.startswith("{"):
                told |= json.loads(line)
        return told

    @property
    def statuses(self) -> list[dict[str, Any]]:
        """Every status of an indexer, from when it was ready on."""
        told = [json.loads(line) for line in self._all if line.startswith("{")]
        return [each for each in told if "waiting" in each] if {"ready": True} in told else []

    @property
    def _all(self) -> list[str]:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return text[: text.rfind("\n") + 1].splitlines()

    def await_told(self, name: str, *, seconds: float = 60) -> Any:
        """Wait until it has told something."""
        self.wait_for(lambda: name in self.told, seconds=seconds)
        return self.told[name]

    def await_indexed(self, *, seconds: float = 60) -> None:
        """Wait until an indexer has nothing to do."""
        self.wait_for(lambda: self.statuses and not self.statuses[-1]["waiting"], seconds=seconds)

    def wait_for(self, condition: Callable[[], object], *, seconds: float = 60) -> None:
        """Wait until something holds, while the process lives."""
        end = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None and not condition():
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.log.read_text('utf-8')}")
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s:\n{self.log.read_text('utf-8')}")
            time.sleep(0.1)

    def write(self, text: str) -> None:
        """Write a line to what it reads."""
        assert self.process.stdin
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def ended(self, *, seconds: float = 60) -> int:
        """Wait for its end."""
        return self.process.wait(seconds)

    def refusal(self) -> str:
        """Why it refused to go on."""
        assert self.ended() == 1, self.log.read_text("utf-8")
        return str(self.told["refused"])

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None


@contextlib.contextmanager
def role(name: str, volume: Path, *options: object, limited: bool = False) -> Iterator[Role]:
    """Start a role of `roles.py`, and kill it afterwards.

    Args:
        name: of the role.
        volume: with the repository.
        options: of the role.
        limited: whether permissions count for it, though it is started by root.
    """
    with _started([_ROLES, name, volume, *options], limited=limited) as started:
        yield started


@contextlib.contextmanager
def _started(command: list[object], *, limited: bool) -> Iterator[Role]:
    if not PYTHON.exists():
        skip(MISSING)
    log = Path(tempfile.mkdtemp(prefix="role-"), "log")
    prefix = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if limited and os.geteuid() == 0 else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*prefix, PYTHON, *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield Role(process=process, log=log)
    finally:
        process.kill()
        process.communicate()
        shutil.rmtree(log.parent)


def done(name: str, volume: Path, *options: object, limited: bool = False) -> dict[str, Any]:
    """Run a role to its end; what it told."""
    with role(name, volume, *options, limited=limited) as started:
        started.ended(seconds=120)
        return started.told


def client(action: str, volume: Path, *options: object) -> dict[str, int]:
    """Run an action of `aim_client.py` to its end; the points of each run that it wrote."""
    command = [PYTHON, CLIENT, action, volume, *options]
    output = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {line["hash"]: line["points"] for line in lines if "hash" in line}


def recorded(volume: Path, *options: object) -> Path:
    """Prepare a repository and write runs into it; returns its volume, for a fixture."""
    done("prepare", volume)
    client("write", volume, *options)
    return volume


def make_runs(volume: Path, *, rows: int = 0, folders: int = 0) -> None:
    """Make many runs in a prepared repository, as rows of its database or as folders."""
    command = [PYTHON, MANY_RUNS, volume, "--rows", rows, "--folders", folders]
    subprocess.run(list(map(str, command)), check=True)


def indexed(volume: Path) -> dict[str, list[Any]]:
    """Of each run in the index: its parameter `number`, and whether it has ended."""
    found: dict[str, list[Any]] = done("indexed", volume).get("indexed", {})
    return found

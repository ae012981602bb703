"""A role of this package as a process of Aim's interpreter."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Callable

from . import Refusal

_LAST_SECONDS = 3
"""For a killed process to be gone; one that a dead file system holds is left to the end of the container."""


def command_of(role: str) -> list[str]:
    """How a role is started in the interpreter that Aim is installed in, with the options of this process."""
    return [_python_of_aim(), "-m", "supervisor", role, *sys.argv[2:]]


def _python_of_aim() -> str:
    """The interpreter that the `aim` on PATH runs on, which need not be the one that runs this."""
    aim = shutil.which("aim")
    if not aim:
        raise Refusal("no `aim` on PATH: use an image with Aim in it, such as docker.io/aimstack/aim:3.29.1")
    with Path(aim).open("rb") as script:
        found = re.search(rb"(?:^#! *|'''exec' \"?)(/[^\s\"]*python[\d.]*)", script.read(1024), re.MULTILINE)
    return found.group(1).decode() if found else sys.executable


class Child:
    """A process of this package, in a group of its own.

    What it writes is passed on. What it reports, a JSON object a line, goes to a callback; `{"ended": ...}` in it, or
    else the last line that it wrote, is the reason of its end.

    Attributes:
        role: what it is called in messages.
        process: the process.
    """

    def __init__(self, role: str, process: asyncio.subprocess.Process, go: int) -> None:
        self.role = role
        self.process = process
        self._go = go
        self._tail = b""
        self._ended = ""
        self._readers: list[asyncio.Future[None]] = [asyncio.ensure_future(self._pass_on())]

    @classmethod
    async def start(
        cls, role: str, *, name: str = "", on_report: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> Child:
        """Start a role, which waits for `go` where it asks for it.

        Args:
            role: of this package.
            name: what it is called in messages; default: as the role.
            on_report: is told what it reports.
        """
        go_reader, go = os.pipe()
        reports, report_writer = os.pipe()
        passed = [go_reader, report_writer]
        command = [*command_of(role), "--go-fd", str(go_reader), "--report-fd", str(report_writer)]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
            pass_fds=passed,
        )
        for descriptor in passed:
            os.close(descriptor)
        child = cls(name or role, process, go)
        child._readers.append(asyncio.ensure_future(child._read_reports(reports, on_report)))
        return child

    def go(self) -> None:
        """Let it begin with what it has waited for."""
        with contextlib.suppress(OSError):  # it has ended, which `ended` tells
            os.write(self._go, b"go")

    async def ended(self) -> Refusal:
        """Wait for its end, which nobody asked for, and tell why."""
        code = await self.process.wait()
        os.close(self._go)
        self._go = -1
        # what a grandchild still holds open is not awaited
        await asyncio.wait(self._readers, timeout=1)
        return Refusal(f"the {self.role} ended with exit code {code}: {self._ended or self._last_line()}")

    async def stop(self, seconds: float) -> None:
        """Ask it to end, and kill what is left of its group afterwards."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.process.wait(), seconds)
        await self.kill()

    async def kill(self) -> None:
        """End it and its group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.process.wait(), _LAST_SECONDS)

    def _last_line(self) -> str:
        lines = self._tail.decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")

    async def _pass_on(self) -> None:
        assert self.process.stdout
        while chunk := await self.process.stdout.read(65536):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            self._tail = (self._tail + chunk)[-4096:]

    async def _read_reports(self, descriptor: int, on_report: Callable[[dict[str, Any]], None]) -> None:
        reader = asyncio.StreamReader()
        with os.fdopen(descriptor, "rb") as pipe:
            await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
            while line := await reader.readline():
                report = json.loads(line)
                self._ended = report.get("ended", self._ended)
                on_report(report)


def report(descriptor: int, **values: Any) -> None:
    """Tell the supervisor something, from within a child; a line is short enough to be written at once."""
    if descriptor >= 0:
        with contextlib.suppress(OSError):  # the supervisor is gone, and this process soon will be
            os.write(descriptor, json.dumps(values).encode() + b"\n")

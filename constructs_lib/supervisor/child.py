"""A role of this package as a process of Aim's interpreter."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from pathlib import Path

from . import Refusal


def command_of(role: str) -> list[str]:
    """How a role is started in the interpreter that Aim is installed in."""
    return [_python_of_aim(), "-m", "supervisor", role]


def _python_of_aim() -> str:
    """The interpreter that the `aim` on PATH runs on, which need not be the one that runs this."""
    aim = shutil.which("aim")
    if not aim:
        raise Refusal("no `aim` on PATH: use an image with Aim in it, such as docker.io/aimstack/aim:3.29.1")
    with Path(aim).open("rb") as script:
        found = re.search(rb"(?:^#! *|'''exec' \"?)(/[^\s\"]*python[\d.]*)", script.read(1024), re.MULTILINE)
    return found.group(1).decode() if found else sys.executable


class Child:
    """A process of ours, in a group of its own; what it writes is passed on, and its last line kept as its reason."""

    def __init__(self, role: str, process: asyncio.subprocess.Process) -> None:
        self.role = role
        self.process = process
        self._tail = b""
        self._relay = asyncio.ensure_future(self._pass_on())

    @classmethod
    async def start(cls, role: str, command: list[str], *, environment: dict[str, str], fd: int = -1) -> Child:
        """Start a command, and hand it a file descriptor where one is given."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
            pass_fds=[fd] if fd >= 0 else [],
        )
        return cls(role, process)

    async def ended(self) -> Refusal:
        """Wait for its end, which nobody asked for, and tell why."""
        code = await self.process.wait()
        with contextlib.suppress(asyncio.TimeoutError):  # what a grandchild still holds open is not awaited
            await asyncio.wait_for(self._relay, 1)
        lines = self._tail.decode(errors="replace").split("\n")
        reason = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return Refusal(f"the {self.role} ended with exit code {code}: {reason}")

    async def stop(self, seconds: float) -> None:
        """Ask it to end, and kill what is left of its group afterwards."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.process.wait(), seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def _pass_on(self) -> None:
        assert self.process.stdout
        while chunk := await self.process.stdout.read(65536):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            self._tail = (self._tail + chunk)[-4096:]

"""Holds the volume, and starts and watches everything on it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from . import Refusal, say
from .locks import Locks
from .volume import Volume, check_writable

DRAIN_SECONDS = 30
"""How long running queries may take after SIGTERM; the pod's grace period is longer."""

UVICORN = {
    # longer than the idle time of the proxies in front (60 s), or they send requests into closing connections
    "UVICORN_TIMEOUT_KEEP_ALIVE": "75",
    "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": str(DRAIN_SECONDS),
    # a worker that searches for longer than the default of 5 s would be taken for dead, and killed
    "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "60",
    # the proxy in front says what scheme it was asked for; who may talk to us is the NetworkPolicy's business
    "FORWARDED_ALLOW_IPS": "*",
}
"""Defaults of uvicorn's own environment variables; those of the container win."""


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


class Server:
    """The indexer and the web server on one volume."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.volume = Volume(Path(options.repository))
        self.children: list[Child] = []

    async def run(self) -> None:
        """Serve; ends only by a refusal."""
        check_writable(self.volume.path)
        await self.volume.take()
        locks = Locks(self.volume.path, self.volume.former)
        locks.break_those_of_the_dead()
        watch = asyncio.ensure_future(locks.watch())
        prepared = await self._start_indexer()
        locks.preparing = False
        await self._start_web_server(prepared)
        ends = [asyncio.ensure_future(child.ended()) for child in self.children]
        done, _ = await asyncio.wait([*ends, watch], return_when=asyncio.FIRST_COMPLETED)
        raise done.pop().result() or Refusal("the watch over locks ended")

    async def stop(self) -> None:
        """Let running queries finish and refuse new connections; then end the indexer."""
        for child, seconds in zip(reversed(self.children), (DRAIN_SECONDS + 5, 5)):
            await child.stop(seconds)

    async def _start_indexer(self) -> dict[str, Any]:
        """Start the indexer; what it answers, once the repository is prepared, is how to start the web server."""
        reader, writer = os.pipe()
        command = [*_role("index"), *sys.argv[2:], "--ready-fd", str(writer)]
        child = await Child.start("indexer", command, environment={}, fd=writer)
        self.children.append(child)
        os.close(writer)
        prepared = await asyncio.get_running_loop().run_in_executor(None, _read_all, reader)
        if not prepared:
            raise await child.ended()
        return json.loads(prepared)  # type: ignore[no-any-return]

    async def _start_web_server(self, prepared: dict[str, Any]) -> None:
        command = [*_role("web"), *prepared["arguments"]]
        defaults = {name: value for name, value in UVICORN.items() if name not in os.environ}
        child = await Child.start("web server", command, environment={**defaults, **prepared["environment"]})
        self.children.append(child)
        say(f"serving {self.volume.path} on port {self.options.port}")


def _read_all(descriptor: int) -> str:
    with os.fdopen(descriptor, encoding="utf-8") as answer:
        return answer.read()


def _role(role: str) -> list[str]:
    return [_python_of_aim(), "-m", "supervisor", role]


def _python_of_aim() -> str:
    """The interpreter that the `aim` on PATH runs on, which need not be the one that runs this."""
    aim = shutil.which("aim")
    if not aim:
        raise Refusal("no `aim` on PATH: use an image with Aim in it, such as docker.io/aimstack/aim:3.29.1")
    with Path(aim).open("rb") as script:
        found = re.search(rb"(?:^#! *|'''exec' \"?)(/[^\s\"]*python[\d.]*)", script.read(1024), re.MULTILINE)
    return found.group(1).decode() if found else sys.executable


async def serve(options: argparse.Namespace) -> None:
    """Serve until told to stop."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = Server(options)
    running, stopped = asyncio.ensure_future(server.run()), asyncio.ensure_future(stopping.wait())
    await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
    running.cancel()  # without effect where it has ended, for a reason
    await server.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    say("stopped")


def raise_file_limit() -> None:
    """Aim opens a few files a run and worker, and does not recover from having none left (aimhubio/aim#3389)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

"""Holds the volume, and starts and watches everything on it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from . import Refusal, say
from .child import Child, command_of
from .locks import Locks
from .volume import Volume, check_writable
from .web import DRAIN_SECONDS


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
        command = [*command_of("index"), *sys.argv[2:], "--ready-fd", str(writer)]
        child = await Child.start("indexer", command, environment={}, fd=writer)
        self.children.append(child)
        os.close(writer)
        prepared = await asyncio.get_running_loop().run_in_executor(None, _read_all, reader)
        if not prepared:
            raise await child.ended()
        return json.loads(prepared)  # type: ignore[no-any-return]

    async def _start_web_server(self, prepared: dict[str, Any]) -> None:
        command = [*command_of("web"), *prepared["arguments"]]
        child = await Child.start("web server", command, environment=prepared["environment"])
        self.children.append(child)
        say(f"serving {self.volume.path} on port {self.options.port}")


def _read_all(descriptor: int) -> str:
    with os.fdopen(descriptor, encoding="utf-8") as answer:
        return answer.read()


def serve(options: argparse.Namespace) -> None:
    """Serve until told to stop."""
    asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> None:
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

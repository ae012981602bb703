"""Aim's tracking server (`aim server`): takes runs over the network, beside the web server and on the same volume.

A client waits and sends again when its connection breaks, but gives up for good on an error that it is answered. So the
server is stopped, and its port with it, for as long as the volume has no room, while the supervisor stays: a container
that ends takes the whole pod, and so the UI, out of the Service.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, NamedTuple

from . import Refusal, say
from .child import Child
from .health import Health, ask
from .metrics import REFUSED
from .refused import OF_TRACKING
from .supervision import supervise
from .threads import in_thread
from .underway import await_restore
from .volume import TRACKING_LOCK, Hold, check_mount, check_writable
from .web import drain_seconds

FULL = 32 * 2**20
"""Free bytes below which the server is stopped, so that no request fails: each run that is opened takes 10 MiB at once,
as RocksDB reserves room for its files, and gives them back when it is closed."""

ROOM = 64 * 2**20
"""Free bytes from which on the server is started again."""

_PAUSES = (5, 20, 60, 300)
"""Seconds after the volume was full, the last for every further time: with the server, its open runs end, and the room
that they had reserved would start it at once, and again and again."""

_LONG_SECONDS = 600
"""A server that has taken runs for so long was not started in vain."""

_NEEDED = ("meta", "seqs", "locks", "check_ins", "run_metadata.sqlite")
"""In `.aim`: what the tracking server writes."""

_STOP_SECONDS = 2
"""For requests at hand when the volume is full; a longer drain would let them fail."""

_HUNG_SECONDS = 10


def track(options: argparse.Namespace) -> None:
    """Take runs until told to stop.

    Raises:
        Refusal: why it ended otherwise.
    """
    say(f"starts on {options.repository}")
    supervise(lambda: Tracking(options), health_port=options.health_port)


class PatientHealth(Health):
    """Ready for as long as the container lives, and its troubles in the body: readiness is the whole pod's."""

    def _readyz(self) -> str:
        return "" if self.started and not self._stopping else super()._readyz()


class Tracking:
    """The tracking server on a volume.

    Attributes:
        health: what the kubelet is told.
        hold: on a lock file of the tracking server's own, by which the next pod knows whether this container lives.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.health: Health = PatientHealth()
        self.path = Path(options.repository)
        self.hold = Hold(self.path / TRACKING_LOCK)
        self._child: Child | None = None
        self._lost: asyncio.Future[Refusal] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.Event()
        for cause in OF_TRACKING:
            self.health.metrics.count(REFUSED, 0, cause=cause)

    async def run(self) -> None:
        """Take runs whenever there is room; ends only by a refusal."""
        self._asking = asyncio.ensure_future(self._ask())
        begin: Awaitable[object] = self._take_volume()  # Aim is imported meanwhile
        again = -1
        while True:
            started = time.monotonic()
            await self._serve(begin)
            again = 0 if time.monotonic() - started > _LONG_SECONDS else min(again + 1, len(_PAUSES) - 1)
            await self._unless(self.await_room(ROOM, pause=_PAUSES[again]))
            begin = asyncio.sleep(0)

    async def stop(self) -> None:
        """Let running requests finish and refuse new connections."""
        if self._child:
            await self._child.stop(drain_seconds() + 2)
        self.hold.stop_asking()

    async def _take_volume(self) -> None:
        self.health.waiting_for = f"the file system of {self.path} does not answer"
        await in_thread(check_mount, self.path)
        await in_thread(check_writable, self.path, _NEEDED)
        await self.await_room(FULL)  # for the lock file, too
        await await_restore(self.path, self._wait_for)
        await self.hold.take(self._wait_for)
        self.health.waiting_for = "importing Aim"
        self._lost = asyncio.ensure_future(self.hold.watch())

    async def _serve(self, begin: Awaitable[object]) -> None:
        """Run the server from a moment on until the volume is full."""
        self._child = child = await Child.start("accept", name="tracking server", on_report=self._note)
        ended = asyncio.ensure_future(child.ended())
        await self._unless(begin, ended)
        child.go()
        await self._unless(self._serving.wait(), ended)
        await self._unless(self._await_full(), ended)
        self._serving.clear()
        self.health.notes.pop("tracking server", None)
        await child.stop(_STOP_SECONDS)

    async def _unless(self, wanted: Awaitable[object], *ends: asyncio.Future[Refusal]) -> None:
        """Await something, unless the lock is lost or the server ends before."""
        future = asyncio.ensure_future(wanted)
        futures: list[asyncio.Future[Any]] = [future, self._lost, *ends]
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        if self._lost.done() and self._child:
            await self._child.kill()  # at once: another tracking server may take its locks for those of the dead
        for end in (self._lost, *ends):
            if end.done():
                raise end.result()
        future.result()

    async def _await_full(self) -> None:
        now = first = await self._look()
        while now.free >= FULL:
            await asyncio.sleep(1)
            now = await self._look()
            if now.repository != first.repository:
                raise Refusal(f"{self.path}/.aim was removed or replaced while runs were written into it")

    async def await_room(self, enough: int, *, pause: float = 0) -> None:
        """Wait for so many free bytes; nothing else is wrong meanwhile, so the container counts as started."""
        end, full = time.monotonic() + pause, self._say_full() if pause else ""
        while (free := (await self._look()).free) < enough or time.monotonic() < end:
            enough, full = ROOM, full or self._say_full()
            self.health.notes["volume"] = f"{full}, {free >> 20} MiB are free"
            self.health.answered("")
            await asyncio.sleep(1)
        if full:
            self.health.notes.pop("volume", None)
            say(f"there is room in {self.path} again")

    def _say_full(self) -> str:
        text = f"no space left for {self.path}: no runs are taken until {ROOM >> 20} MiB are free"
        say(text)
        return text

    async def _look(self) -> Look:
        """Look at the volume; while its file system does not answer, the kubelet is told."""
        looking = asyncio.ensure_future(in_thread(look, self.path))
        if not (await asyncio.wait([looking], timeout=_HUNG_SECONDS))[0]:
            self.health.notes["volume"] = f"the file system of {self.path} does not answer"
            await asyncio.wait([looking])
            self.health.notes.pop("volume")
        return looking.result()

    async def _ask(self) -> None:
        """Ask the server again and again, often until it has answered once."""
        while True:
            if self._serving.is_set():
                await ask(self.health, self.options.host, self.options.port, f"{self.options.base_path}/status/")
            if self._serving.is_set():
                self.health.notes["tracking server"] = self.health.problem or "takes runs"
            await asyncio.sleep(2 if self.health.started else 0.1)

    def _wait_for(self, reason: str) -> None:
        self.health.waiting_for = reason

    def _note(self, report: dict[str, Any]) -> None:
        self.health.waiting_for = report.get("waiting_for", self.health.waiting_for)
        for cause, times in report.get("refused", {}).items():
            self.health.metrics.count(REFUSED, times, cause=cause)
        if "serving" in report:
            self.health.waiting_for = "the tracking server has not answered yet"
            self._serving.set()


class Look(NamedTuple):
    """A look at the volume."""

    free: int
    """Bytes."""
    repository: int
    """Inode of the repository; 0 for none."""


def look(path: Path) -> Look:
    """Ask the file system of a volume."""
    found, repository = os.statvfs(path), 0
    with contextlib.suppress(FileNotFoundError):
        repository = (path / ".aim").stat().st_ino
    # a file system that counts no blocks has room
    return Look(found.f_bavail * found.f_frsize if found.f_blocks else ROOM, repository)

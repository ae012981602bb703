"""Holds the volume, and starts and watches everything on it."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from . import Refusal, say
from .child import Child
from .health import Health, ask
from .locks import Locks
from .metrics import REFUSED, watch_volume
from .refused import CAUSES
from .supervision import supervise
from .threads import in_thread
from .underway import await_restore
from .volume import LOCK, Hold, check_mount, check_writable
from .web import drain_seconds

_NEEDED = ("meta", "locks", "progress", "run_metadata.sqlite", "aim_db", "VERSION")
"""In `.aim`: what the web server and its indexer write."""

_PAGE = "/api/projects/pinned-sequences"
"""Read from the volume in a few milliseconds; `/api/projects/` would open every run."""


class Server:
    """The web server and its indexer on one volume.

    Attributes:
        health: what the kubelet is told.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.health = Health()
        self.path = Path(options.repository)
        self.hold = Hold(self.path / LOCK)
        self._host: Child | None = None
        self._serving = asyncio.Event()
        for cause in CAUSES.values():
            self.health.metrics.count(REFUSED, 0, cause=cause)

    async def run(self) -> None:
        """Serve; ends only by a refusal."""
        # it imports Aim meanwhile, and waits then
        self._host = host = await Child.start("host", on_report=self._note)
        self._ended = asyncio.ensure_future(host.ended())
        locks = await self._unless_ended(self._take_volume())
        host.go()
        lost, stale = asyncio.ensure_future(self.hold.watch()), asyncio.ensure_future(locks.watch())
        asking = asyncio.ensure_future(self._ask())
        self._sampling = asyncio.ensure_future(watch_volume(self.path, self.health.metrics))
        await self._unless_ended(self._serving.wait(), lost)
        locks.preparing = False
        (ended, *_), _ = await self._unless_ended(
            asyncio.wait([asking, stale], return_when=asyncio.FIRST_COMPLETED), lost
        )
        raise Refusal(f"the supervisor asks the server, or watches its locks, no more: {ended.exception()!r}")

    async def stop(self) -> None:
        """Let running queries finish and refuse new connections, and end the indexer."""
        if self._host:
            await self._host.stop(drain_seconds() + 3)
        self.hold.stop_asking()

    async def _take_volume(self) -> Locks:
        self.health.waiting_for = f"the file system of {self.path} does not answer"
        await in_thread(check_mount, self.path)
        await in_thread(check_writable, self.path, _NEEDED)
        await await_restore(self.path, self._wait_for)
        former = await self.hold.take(self._wait_for)
        self.health.waiting_for = "importing Aim"  # takes a minute on a tenth of a CPU
        locks = await in_thread(Locks, self.path)
        await in_thread(locks.remove_those_of, former)
        return locks

    def _wait_for(self, reason: str) -> None:
        if self.health.waiting_for != reason:
            self.health.metrics.count("aim_lock_waits_total")
        self.health.waiting_for = reason

    async def _unless_ended(self, wanted: Awaitable[Any], *lost: asyncio.Future[Refusal]) -> Any:
        """Await something, unless the host ends or the lock on the volume is lost before."""
        future = asyncio.ensure_future(wanted)
        await asyncio.wait([future, self._ended, *lost], return_when=asyncio.FIRST_COMPLETED)
        for loss in lost:
            if loss.done() and self._host:
                await self._host.kill()  # at once: whatever it writes now, it writes into the store of another server
                raise loss.result()
        if self._ended.done():
            raise self._ended.result()
        return future.result()

    async def _ask(self) -> None:
        """Ask the web server again and again, often until it has answered once."""
        await self._serving.wait()
        while True:
            page = f"{self.options.base_path}{_PAGE}"
            await ask(self.health, self.options.host, self.options.port, page)
            await asyncio.sleep(2 if self.health.started else 0.1)

    def _note(self, report: dict[str, Any]) -> None:
        self.health.waiting_for = report.get("waiting_for", self.health.waiting_for)
        if "index" in report:
            self.health.notes["index"] = report["index"]
        for name, value in report.get("runs", {}).items():
            self.health.metrics.set(name, value)
        if "waiting_since" in report:
            self.health.metrics.set_since("aim_index_lag_seconds", report["waiting_since"])
        for cause, times in report.get("refused", {}).items():
            self.health.metrics.count(REFUSED, times, cause=cause)
        if "worker_ended" in report:
            self.health.metrics.count("aim_worker_restarts_total", cause=report["worker_ended"])
        if "serving" in report:
            self.health.waiting_for = "the web server has not answered yet"
            self._serving.set()


def serve(options: argparse.Namespace) -> None:
    """Serve until told to stop.

    Raises:
        Refusal: why it ended otherwise.
    """
    say(f"starts on {options.repository}")
    supervise(lambda: Server(options), health_port=options.health_port)

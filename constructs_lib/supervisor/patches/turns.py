"""Shares the event loop of a worker between searches and everything else that it answers.

Wrong in Aim 3.29: after each run a search sleeps for at least a millisecond, the shortest time that epoll waits, even
if nothing else waits for the loop: seconds for thousands of runs. Here a search works for some milliseconds, and then
leaves the loop to all others for several turns; and while it waits for a thread, it leaves the loop altogether.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

_SLICE_SECONDS = 0.004
_TURNS = 20
"""Of the event loop, some microseconds each: accepting and answering a small request takes about as many."""

awaited: ContextVar[Future[Any] | None] = ContextVar("awaited", default=None)
"""What the search of this context needs next, and a thread works at."""


class Turns:
    """The searches of a process; a pause of one is a pause of all, or the others would fill it."""

    def __init__(self) -> None:
        self._resumed: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._pause: asyncio.Event | None = None

    async def sleep(self, _seconds: float) -> None:
        """Let others have the loop where this search has had it for long enough; in the place of `asyncio.sleep`."""
        task, needed = asyncio.current_task(), awaited.get()
        if needed and not needed.done():
            await asyncio.wait([asyncio.wrap_future(needed)])
            self._resumed[task] = time.monotonic()
        if time.monotonic() - self._resumed.get(task, 0) < _SLICE_SECONDS:
            return
        if self._pause:
            await self._pause.wait()
        else:
            await self._leave()
        self._resumed[task] = time.monotonic()

    async def _leave(self) -> None:
        pause = self._pause = asyncio.Event()
        try:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        finally:
            self._pause = None
            pause.set()


def share_event_loop() -> None:
    """Replace the pauses of Aim's searches, in this process and those forked from it."""
    from aim.web.api.runs import object_api_utils, utils

    # the two names of asyncio that these modules use
    utils.asyncio = object_api_utils.asyncio = SimpleNamespace(
        sleep=Turns().sleep, CancelledError=asyncio.CancelledError
    )

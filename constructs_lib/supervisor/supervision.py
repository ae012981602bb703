"""The life of a container: health, signals, and an end in time."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Callable, Protocol

from . import say
from .health import Health


class Container(Protocol):
    """What a container does."""

    health: Health

    async def run(self) -> None:
        """Do it; ends only by a refusal."""

    async def stop(self) -> None:
        """End what it has started, in less than 45 seconds."""


def supervise(make: Callable[[], Container], *, health_port: int) -> None:
    """Run a container until SIGTERM, or until it refuses.

    Args:
        make: makes it, within the event loop.
        health_port: where the kubelet asks; 0 for nowhere.

    Raises:
        Refusal: why it ended without a signal.
    """
    asyncio.run(_supervise(make, health_port))


async def _supervise(make: Callable[[], Container], health_port: int) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    container = make()
    await container.health.listen(health_port)
    running, stopped = asyncio.ensure_future(container.run()), asyncio.ensure_future(stopping.wait())
    await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
    container.health.stop()
    running.cancel()  # without effect where it has ended, for a reason
    await container.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    say("stopped")

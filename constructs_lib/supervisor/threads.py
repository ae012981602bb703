"""Blocking calls beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any, Callable, TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Await a blocking call, in a daemon thread of its own.

    The default executor will not do: `asyncio.run` waits for its threads at the end, and one of them may wait for a
    file system that has stopped answering.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        settle: Callable[[], None]
        try:
            result = function(*arguments)
        except BaseException as error:  # noqa: BLE001  # handed over, whatever it is
            settle = _settling(future, future.set_exception, error)
        else:
            settle = _settling(future, future.set_result, result)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=run, daemon=True).start()
    return await future


def _settling(future: asyncio.Future[T], settle: Callable[[Any], None], value: Any) -> Callable[[], None]:
    return lambda: None if future.done() else settle(value)

"""A restore that is under way: its Job is several containers, and none of them holds the volume's lock all the time.

The first one, with the lock, makes a file; the one that downloads touches it again and again, and so does the last one,
with the lock again, which removes it. A server that starts meanwhile waits for as long as the file is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from . import say
from .notes import BACKUP
from .threads import in_thread

UNDERWAY = f"{BACKUP}/restore-underway"

TOUCH_SECONDS = 5

SILENCE_SECONDS = 150
"""A file that is not touched for so long was left by a Job that was killed. An NFS client sees it a minute late."""


def begin(volume: Path) -> None:
    """Make the file."""
    (volume / UNDERWAY).parent.mkdir(exist_ok=True)
    (volume / UNDERWAY).touch()


def end(volume: Path) -> None:
    """Remove the file."""
    (volume / UNDERWAY).unlink(missing_ok=True)


@contextlib.contextmanager
def kept(volume: Path) -> Iterator[None]:
    """Touch the file for as long as something is done, and remove it then."""
    done = threading.Event()

    def touch() -> None:
        while not done.wait(TOUCH_SECONDS):
            with contextlib.suppress(OSError):
                (volume / UNDERWAY).touch()

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        end(volume)


async def await_restore(volume: Path, on_wait: Callable[[str], None], *, silence: float = SILENCE_SECONDS) -> None:
    """Wait until no restore is under way.

    Args:
        volume: that is restored to.
        on_wait: is told what is waited for, again and again.
        silence: seconds after which a file that is not touched any more is removed.
    """
    seen, since, reason = -1, time.monotonic(), f"waiting for the restore that touches {volume / UNDERWAY} to end"
    while (touched := await in_thread(_touched, volume / UNDERWAY)) >= 0:
        if touched != seen:
            if seen < 0:
                say(reason)
            seen, since = touched, time.monotonic()
        elif time.monotonic() - since > silence:
            say(f"{volume / UNDERWAY} is not touched any more: its restore has ended without success")
            with contextlib.suppress(OSError):
                await in_thread(end, volume)
            return
        on_wait(reason)
        await asyncio.sleep(0.5)


def _touched(path: Path) -> int:
    """When a file was touched; -1 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return -1

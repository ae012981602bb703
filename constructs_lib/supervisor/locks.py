"""Removes stale Aim lock files whose owning process is dead."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from pathlib import Path

from . import say
from .files import read_plain
from .threads import in_thread
from .volume import TRACKING_LOCK, is_held_by

STALE_SECONDS = 60
"""Aim holds `structured_db_lock` for milliseconds; one that is as old as this has lost its holder."""


class Locks:
    """Aim's lock files of dead processes, each of which blocks every new run for five minutes."""

    def __init__(self, volume: Path) -> None:
        self.volume = volume
        self.folder = volume / ".aim" / "locks"
        self.creating_runs = self.folder / "structured_db_lock"
        # while the indexer prepares the repository, a new lock may well be its own
        self.preparing = True
        self._at_start = self._identity()
        self._seen, self._since = self._at_start, time.monotonic()

    def remove_those_of(self, host: str) -> None:
        """Remove the locks of the former holder of the volume; a lock of a run names no host, and stays.

        The tracking server of that pod is a container of its own and may still drain: its locks are left to
        `remove_if_stale`.
        """
        if host != socket.gethostname() and is_held_by(self.volume / TRACKING_LOCK, host):
            say(f"the tracking server on host {host} still runs: its locks stay until they are stale")
            return
        for lock in self.folder.glob("*"):
            process, owner = _holder(lock)
            if owner == host and not _is_alive(process, owner):
                lock.unlink()
                say(f"removed {lock.name}, left behind by host {host}")

    def remove_if_stale(self) -> None:
        """Remove the lock for creating runs if it has been the same for a minute."""
        identity = self._identity()
        if identity != self._seen:
            self._seen, self._since = identity, time.monotonic()
        own = self.preparing and identity != self._at_start
        if identity and not own and time.monotonic() - self._since >= STALE_SECONDS:
            host = _holder(self.creating_runs)[1] or "unknown"
            self.creating_runs.unlink()
            say(f"removed {self.creating_runs.name} of host {host}, held for {STALE_SECONDS} s: its holder is gone")

    async def watch(self) -> None:
        """Look for stale locks for ever."""
        while True:
            with contextlib.suppress(OSError):
                await in_thread(self.remove_if_stale)
            await asyncio.sleep(5)

    def _identity(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            status = self.creating_runs.stat()
            return status.st_ino, status.st_mtime_ns
        return None


def _holder(lock: Path) -> tuple[str, str]:
    """Process id and host in a lock file of `filelock` 3.20 and later; empty where it says less."""
    with contextlib.suppress(OSError):
        lines = read_plain(lock).splitlines()
        if len(lines) >= 2 and lines[0].isdigit():
            return lines[0], lines[1]
    return "", ""


def _is_alive(process: str, host: str) -> bool:
    """Whether a process of this pod lives; none that this container has started makes locks yet."""
    return host == socket.gethostname() and process != str(os.getpid()) and process in _processes()


def _processes() -> set[str]:
    """The process ids of this pod; unlike a path below `/proc`, without the ids of their threads."""
    return {each.name for each in Path("/proc").iterdir()}

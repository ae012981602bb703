"""Aim's lock files that outlived whoever made them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from pathlib import Path

from . import say

STALE_SECONDS = 60
"""Aim holds `structured_db_lock` for milliseconds; one that is as old as this has lost its holder."""


class Locks:
    """Aim's lock files that outlived whoever made them, which block every new run for five minutes each time."""

    def __init__(self, volume: Path, dead_host: str | None) -> None:
        self.folder = volume / ".aim" / "locks"
        self.creating_runs = self.folder / "structured_db_lock"
        self.dead_host = dead_host
        # while our own indexer prepares the repository, a new lock may well be its own
        self.preparing = True
        self._at_start = self._identity()
        self._seen, self._since = self._at_start, time.monotonic()

    def break_those_of_the_dead(self) -> None:
        """Remove what the former holder of the volume had locked; a lock of a run names no host, and stays."""
        for lock in self.folder.glob("*") if self.dead_host else ():
            process, host = _holder(lock)
            if host == self.dead_host and not _is_alive(process, host):
                lock.unlink()
                say(f"removed {lock.name}, left behind by host {self.dead_host}")

    def break_if_stale(self) -> None:
        """Remove the lock for creating runs if it has been the same for a minute."""
        identity = self._identity()
        if identity != self._seen:
            self._seen, self._since = identity, time.monotonic()
        ours = self.preparing and identity != self._at_start
        if identity and not ours and time.monotonic() - self._since >= STALE_SECONDS:
            host = _holder(self.creating_runs)[1] or "unknown"
            self.creating_runs.unlink()
            say(f"removed {self.creating_runs.name} of host {host}, held for {STALE_SECONDS} s: its holder is gone")

    async def watch(self) -> None:
        """Look for stale locks for ever; in a thread, as a file system that hangs must not stop the supervisor."""
        while True:
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().run_in_executor(None, self.break_if_stale)
            await asyncio.sleep(5)

    def _identity(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            status = self.creating_runs.stat()
            return status.st_ino, status.st_mtime_ns
        return None


def _holder(lock: Path) -> tuple[str, str]:
    """Process id and host in a lock file of `filelock` 3.20 and later; empty where it says less."""
    with contextlib.suppress(OSError):
        lines = lock.read_text(encoding="utf-8", errors="replace").splitlines()
        if len(lines) >= 2 and lines[0].isdigit():
            return lines[0], lines[1]
    return "", ""


def _is_alive(process: str, host: str) -> bool:
    """Whether it is one of the tracking server's container; ours has not started any yet."""
    return host == socket.gethostname() and process != str(os.getpid()) and process in _processes()


def _processes() -> set[str]:
    """Those of this pod; unlike a path below `/proc`, without the ids of their threads."""
    return {each.name for each in Path("/proc").iterdir()}

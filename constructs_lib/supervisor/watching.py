"""Which runs to look at: running ones, and whichever left a trace of a change; never all of them."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path

from . import say

_SETTLED_SECONDS = 60
"""An NFS client may see the end of a run before its last points: it caches attributes for up to a minute (nfs(5))."""

_ANYWAY_SECONDS = 60
_IN_TURN = 2


class Listing:
    """Names in a folder, which is read again only when it may have changed.

    Attributes:
        names: when it was read last.
    """

    def __init__(self, path: Path, *, folders: bool = False) -> None:
        """Take the path of a folder; with `folders`, only names of folders in it count."""
        self.names: set[str] = set()
        self._path, self._folders = path, folders
        self._modified, self._moved, self._read = -1, 0.0, float("-inf")

    def refresh(self, now: float) -> set[str]:
        """Read the folder if it has changed, and return the names that are new.

        A file system may count modification times in whole seconds, so the folder is read for three more.

        Raises:
            OSError: it cannot be read.
        """
        modified = self._path.stat().st_mtime_ns
        if modified != self._modified:
            self._modified, self._moved = modified, now
        if now - self._moved > 3 and now - self._read < _ANYWAY_SECONDS:
            return set()
        former, self._read = self.names, now
        with os.scandir(self._path) as entries:
            self.names = {entry.name for entry in entries if not self._folders or entry.is_dir()}
        return self.names - former


@dataclasses.dataclass
class Watch:
    """A run that is looked at again and again.

    Attributes:
        changed: when it was seen to change.
        looked: when it was looked at.
        checksum: of its files, when it was looked at.
    """

    changed: float
    looked: float = float("-inf")
    checksum: str = ""

    def look(self, checksum: str, now: float) -> None:
        """Note what was seen."""
        if checksum != self.checksum:
            self.changed = now
        self.checksum, self.looked = checksum, now

    def is_due(self, now: float) -> bool:
        """Whether to look again: every second at a run that changes, every ten at one that has not for two minutes."""
        return now - self.looked >= min(10.0, (now - self.changed) / 12)


class Runs:
    """The runs of a repository, and what tells that one of them has changed.

    * `meta/chunks` has a folder for each run: a name is new, or gone.
    * `meta/progress` has a file for each run that is being written.
    * `check_ins` has files of each run, which get other names when a trainer opens, writes or closes it.
    * Some of the other runs are looked at in turn, so that whatever left no trace is found in the end.

    Attributes:
        all: names of all runs.
        running: of them, being written.
    """

    def __init__(self, repository: Path) -> None:
        self.all: set[str] = set()
        self.running: set[str] = set()
        self._chunks = Listing(repository / "meta/chunks", folders=True)
        self._check_ins = Listing(repository / "check_ins")
        self._progress = repository / "meta/progress"
        self._watched: dict[str, Watch] = {}
        self._turn: Iterator[str] = iter(())
        self._is_blind = False

    def refresh(self) -> None:
        """Look for traces.

        Raises:
            OSError: one of the first two folders cannot be read.
        """
        now = time.monotonic()
        touched = self._chunks.refresh(now) | self._checked_in(now)
        self.all = self._chunks.names
        former, self.running = self.running, self.all & {path.name for path in self._progress.iterdir()}
        for run in touched | (former ^ self.running):
            self.watch(run, now)
        for run, watch in list(self._watched.items()):
            settled = run not in self.running and watch.looked - watch.changed > _SETTLED_SECONDS
            if settled or run not in self.all:
                del self._watched[run]

    def _checked_in(self, now: float) -> set[str]:
        try:
            return {name.partition("-")[0] for name in self._check_ins.refresh(now)}
        except OSError as error:  # a folder of somebody else
            if not self._is_blind:
                say(f"runs that were resumed are found late: {error}")
            self._is_blind = True
            return set()

    def watch(self, run: str, now: float) -> None:
        """Look at a run from now on, until it has settled."""
        self._watched.setdefault(run, Watch(now)).changed = now

    def due(self) -> set[str]:
        """The runs to look at now."""
        now = time.monotonic()
        return {run for run, watch in self._watched.items() if watch.is_due(now)} | set(self._in_turn())

    def looked(self, run: str, checksum: str) -> None:
        """Note that a run was looked at."""
        if run in self._watched:
            self._watched[run].look(checksum, time.monotonic())

    def settle(self, run: str) -> None:
        """Look no more at a run, unless it is running or changes again."""
        if run not in self.running:
            self._watched.pop(run, None)

    def _in_turn(self) -> Iterator[str]:
        for _ in range(_IN_TURN):
            run = next(self._turn, "")
            if not run:
                self._turn = iter(self.all - self._watched.keys())
            elif run in self.all:
                yield run

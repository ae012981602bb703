"""Keeps the index of a repository up to date, in the place of the threads that `aim up` has for it.

A search by a hyperparameter or a metric reads the index only: a run that is not in it is not found. Aim watches each
running run by a thread of its own, looks at all files of all runs every five seconds, and never starts a thread again
that has died. Here one thread looks at the runs that changed (`watching`), and builds a damaged index anew.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Callable

from . import Refusal, say
from .patches.indexing import Damaged, Index, Locked, NoRoom
from .patches.lost_runs import LostRuns
from .patches.rocks import reason
from .requests import Request, Requests
from .watching import Runs

HUNG_SECONDS = 300
"""No step of the indexer takes longer than some seconds, unless the file system hangs."""

_PAUSE_SECONDS = 1
_LONGEST_PAUSE_SECONDS = 10
_SHARE = 10
"""A pause is ten times as long as the work before it: the indexer takes a tenth of a core, whatever is written."""

_SLICE_SECONDS = 0.5
"""For so long the index is kept open for writing; a run can be deleted in the gaps."""

_GAP_SECONDS = 0.05
_LOST_SECONDS = 30
_READ_SECONDS = 3600
"""All of the index is read as often: a part that nobody reads may be damaged."""

_AGAIN_SECONDS, _AGAIN_TIMES = 600, 3
"""An index that is damaged more often, in so many seconds, is not the fault of the index."""

_LOCK_SECONDS = 30
"""Whatever has the index open for longer than that is a second indexer; a deletion takes moments."""

_MANY = 50
"""Runs that wait, from which on it is worth a line."""

_UNREADABLE_AFTER = 3
"""Looks at a run in vain: a trainer may be about to make it."""


@dataclasses.dataclass(frozen=True)
class Status:
    """What the indexer is at.

    Attributes:
        text: what it is busy with, or kept from; empty while every run is indexed.
        runs: in the repository.
        running: of them, being written.
        waiting: of them, yet to be indexed.
        unreadable: of them, that cannot be read.
        waiting_since: when the one of them that waits longest was seen to have changed; 0 where none waits.
        changed: when a change was indexed last; 0 for never.
    """

    text: str = ""
    runs: int = 0
    running: int = 0
    waiting: int = 0
    unreadable: int = 0
    waiting_since: float = 0
    changed: float = 0

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers, by the names of their metrics."""
        return {
            "aim_runs": self.runs,
            "aim_runs_running": self.running,
            "aim_runs_waiting": self.waiting,
            "aim_runs_unreadable": self.unreadable,
            **({"aim_index_changed_timestamp_seconds": self.changed} if self.changed else {}),
        }

    def __str__(self) -> str:
        """One line for the health pages."""
        broken = f", {self.unreadable} unreadable" if self.unreadable else ""
        return f"{self.text or 'every run is indexed'}; {self.runs} runs, {self.running} running{broken}"


def index(
    volume: Path, *, ready: Callable[[], object], progress: Callable[[Status], None], stopping: threading.Event
) -> None:
    """Index what has changed while nobody watched, and then whatever changes, until told to stop.

    Args:
        volume: with a repository that `repository.prepare` has seen.
        ready: called as soon as the index can be read; it need not be complete yet.
        progress: called in another thread when the status changes, twice a second at most.
        stopping: ends it.

    Raises:
        Refusal: the thread that indexes has died, or hangs.
    """
    indexer = Indexer(volume / ".aim", progress=progress, stopping=stopping)
    indexer.open()
    ready()
    indexer.start()
    while not stopping.wait(1):
        indexer.check()
    indexer.join(3)


def prune_index(index: Index, container: Any, runs: Iterable[str]) -> int:
    """Remove from an index what no run has; returns how many keys that were.

    Args:
        index: the index.
        container: the index, opened for writing.
        runs: hashes of all runs.
    """
    orphans, writes = index.orphans(container, runs), container.batch()
    for key in orphans:
        container.delete(key, store_batch=writes)
    container.commit(writes)
    return len(orphans)


class Indexer(threading.Thread):
    """The one writer of the index."""

    def __init__(self, repository: Path, *, progress: Callable[[Status], None], stopping: threading.Event) -> None:
        super().__init__(name="indexer", daemon=True)
        self._progress, self._stopping = progress, stopping
        self._index, self._lost, self._runs = Index(repository), LostRuns(repository), Runs(repository)
        self._indexed: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._waiting: dict[str, float] = {}
        self._changed = 0.0
        self._status: Status | None = None
        self._is_loaded = self._is_complete = self._is_kept_busy = False
        self._closed_lost = self._read = float("-inf")
        self._moved_aside: list[float] = []
        self._moved, self._error = time.monotonic(), ""
        self._requests = Requests(repository.parent)
        self._asked: Request | None = None
        self._closing: threading.Thread | None = None

    def open(self) -> None:
        """Open the index once, so that there is one to read; `run` tries again where it is locked, or the volume full.

        Raises:
            Refusal: it is damaged, and cannot be moved aside.
        """
        try:
            self._runs.refresh()
            self._create(wait=0)
        except Damaged as damage:
            self._move_aside(damage)
            self.open()
        except (NoRoom, Locked):
            pass

    def check(self) -> None:
        """Raise why the thread does not work any more, if so.

        Raises:
            Refusal: it died, or it has not moved for minutes.
        """
        if not self.is_alive():
            raise Refusal(f"Aim's thread for indexing died: {self._error}")
        seconds = time.monotonic() - self._moved
        if seconds > HUNG_SECONDS:
            raise Refusal(f"Aim's thread for indexing has not moved for {seconds:.0f} s: the file system hangs")

    def run(self) -> None:
        """Look and index, until told to stop or until something is in the way that does not go away."""
        pause = 0.0
        try:
            while not self._stopping.wait(pause):
                pause = self._step()
        except BaseException as error:  # noqa: BLE001  # `check` tells
            self._error = str(error) if isinstance(error, (Refusal, Locked)) else reason(error)

    def _step(self) -> float:
        """Look once; returns how many seconds to pause."""
        begin = self._moved = time.monotonic()
        was_complete = self._is_complete
        try:
            self._look()
        except NoRoom as error:
            self._is_loaded = False
            self._report(f"the volume is full, and runs are not indexed until there is room ({error})")
            return _LONGEST_PAUSE_SECONDS
        except Damaged as damage:
            self._move_aside(damage)
            return 0
        pause = max(_PAUSE_SECONDS, min(_LONGEST_PAUSE_SECONDS, _SHARE * (time.monotonic() - begin)))
        return pause if was_complete else 0

    def _look(self) -> None:
        self._runs.refresh()
        if not self._is_loaded or self._index.was_touched() or time.monotonic() - self._read > _READ_SECONDS:
            self._load()
        self._obey()
        self._close_lost()
        self._forget(self._indexed.keys() - self._runs.all)
        self._update(self._outdated(self._runs.due() if self._is_complete else self._runs.all))
        self._report()
        if not self._is_complete:
            self._settle()
        self._conclude()

    def _conclude(self) -> None:
        """Answer a request for comparing all runs, when that is done."""
        if self._asked and self._is_complete:
            unreadable = self._status.unreadable if self._status else 0
            self._asked.answer(f"{len(self._runs.all) - unreadable} runs are indexed, {unreadable} cannot be read")
            self._asked = None

    def _obey(self) -> None:
        """Do what a chore asks for; the answer to one that takes a while comes when it is done."""
        request = None if self._asked else self._requests.next()
        if request and request.chore == "prune":
            request.answer(f"{self._prune()} entries of deleted runs are removed from the index")
        elif request:
            say(f"{request.chore}: asked for by a chore on host {request.host}")
            if request.chore == "reindex":
                self._index.discard(self._index.move_aside("index.former"))
                self._indexed = {}
                self._create(wait=_LOCK_SECONDS)
            self._is_complete, self._asked = False, request

    def _prune(self) -> int:
        with self._index.opened(_LOCK_SECONDS) as container:
            return prune_index(self._index, container, self._reading(self._runs.all))

    def _reading(self, runs: Iterable[str]) -> Iterator[str]:
        for run in runs:
            self._moved = time.monotonic()
            yield run

    def _load(self) -> None:
        """Read all of the index; where it is not as it was left, every run is compared with it afterwards."""
        self._is_loaded = False
        if not self._index.is_there():
            self._create(wait=_LOCK_SECONDS)
        found = self._index.checksums()
        if found != self._indexed:
            self._indexed, self._is_complete = found, False
        self._is_loaded, self._read = True, time.monotonic()

    def _create(self, *, wait: float) -> None:
        if self._runs.all and not self._index.is_there() and not self._moved_aside:
            say(f"there is no index in {self._index.path}: building it")
        with self._index.opened(wait):
            pass

    def _move_aside(self, damage: Damaged) -> None:
        now, self._is_loaded = time.monotonic(), False
        self._moved_aside = [now, *(each for each in self._moved_aside if now - each < _AGAIN_SECONDS)]
        if len(self._moved_aside) > _AGAIN_TIMES:
            raise Refusal(f"{self._index.path} was built anew {_AGAIN_TIMES} times, and is damaged again: {damage}")
        try:
            aside = self._index.move_aside()
        except OSError as error:
            remedy = "remove it by hand: it is made of the runs, and built anew"
            raise Refusal(f"{self._index.path} is damaged ({damage}), and {reason(error)}: {remedy}") from None
        say(f"{self._index.path} is damaged ({damage}): moved to {aside.name}, and built anew from the runs")

    def _outdated(self, runs: Iterable[str]) -> list[tuple[str, str]]:
        """Those runs whose files are not the ones that were indexed, with their checksums."""
        found = []
        for run in runs:
            self._moved = time.monotonic()
            checksum = self._index.checksum(run)
            self._runs.looked(run, checksum)
            if checksum != self._indexed.get(run):
                found.append((run, checksum))
                self._waiting.setdefault(run, time.time())
        return found

    def _update(self, outdated: list[tuple[str, str]]) -> None:
        """Index runs; in slices, or nothing else could write the index meanwhile."""
        while outdated and not self._stopping.is_set():
            if len(outdated) > _MANY:
                self._report(f"indexing {len(outdated)} runs")
            with self._index.opened(_LOCK_SECONDS) as container:
                end = time.monotonic() + _SLICE_SECONDS
                while outdated and time.monotonic() < end:
                    self._moved = time.monotonic()
                    self._copy(container, *outdated.pop())
            time.sleep(_GAP_SECONDS if outdated else 0)

    def _copy(self, container: Any, run: str, checksum: str) -> None:
        try:
            writes = self._index.copy(container, run, checksum)
        except Exception as error:  # noqa: BLE001  # whatever Aim and RocksDB raise for the bytes of one run
            self._failures[run] = self._failures.get(run, 0) + 1
            if self._failures[run] == _UNREADABLE_AFTER:
                say(f"run {run} cannot be read, and is not indexed: {reason(error)}")
            return
        container.commit(writes)
        self._indexed[run], self._changed = checksum, time.time()
        self._waiting.pop(run, None)
        if self._failures.pop(run, 0) >= _UNREADABLE_AFTER:
            say(f"run {run} can be read again")

    def _forget(self, gone: set[str]) -> None:
        """Remove deleted runs from the index: one that is indexed while it is deleted would stay there."""
        if not gone:
            return
        with self._index.opened(_LOCK_SECONDS) as container:
            for run in gone:
                self._index.forget(container, run)
                del self._indexed[run]
        self._changed = time.time()

    def _settle(self) -> None:
        """After all runs were compared: watch those only that are running, or have changed meanwhile."""
        for run in self._runs.all - self._runs.running:
            if self._index.checksum(run) == self._indexed.get(run):
                self._runs.settle(run)
        self._is_complete = True

    def _close_lost(self) -> None:
        if time.monotonic() - self._closed_lost > _LOST_SECONDS and not (self._closing and self._closing.is_alive()):
            self._closed_lost = time.monotonic()
            # all points of a run are looked at, which may take minutes
            self._closing = threading.Thread(target=self._lost.close, args=[self._runs.running], daemon=True)
            self._closing.start()

    def _report(self, text: str = "") -> None:
        self._failures = {run: count for run, count in self._failures.items() if run in self._runs.all}
        unreadable = {run for run, count in self._failures.items() if count >= _UNREADABLE_AFTER}
        known = self._runs.all - unreadable
        self._waiting = {run: since for run, since in self._waiting.items() if run in known}
        status = Status(
            text,
            runs=len(self._runs.all),
            running=len(self._runs.running),
            waiting=len(self._waiting),
            unreadable=len(unreadable),
            waiting_since=min(self._waiting.values(), default=0),
            changed=self._changed,
        )
        if status != self._status:
            self._status = status
            self._progress(status)
        if bool(text) != self._is_kept_busy:
            self._is_kept_busy = bool(text)
            say(text or f"all of {status.runs - status.unreadable} runs are indexed")

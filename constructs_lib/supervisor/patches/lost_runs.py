"""Closes runs whose trainer has not checked in for longer than it had announced.

Wrong in Aim 3.29, whose `RunStatusManager` decides which runs these are:

* It lists the running runs, and asks for the modification time of each: its thread ends for good when a run ends in
  that moment, or belongs to another user.
* It lists all check-ins of all runs for each running run.
* A run that was locked once, by a trainer that was only slow, is never closed.
* A run whose trainer has not checked in for the first time yet seems to be lost.
* One that cannot be opened, as its trainer is only slow, loses the mark of its progress: it has ended then for whatever
  looks at the marks, and goes on.
* A half-written point that its trainer has left stays (`points`).
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from .. import say
from ..writers import has_writer
from .points import torn_points
from .rocks import reason


class LostRuns:
    """Runs that are being written, of which some have lost their trainer."""

    def __init__(self, repository: Path) -> None:
        from aim.sdk.repo import Repo
        from aim.sdk.run_status_manager import RunStatusManager

        self._manager = RunStatusManager(Repo.from_path(str(repository)))
        self._check_ins = repository / "check_ins"
        self._known: set[str] = set()
        self._reported: set[str] = set()

    def close(self, running: set[str]) -> None:
        """Close those of the running ones that are lost; one that cannot be closed is logged, once.

        A run that was not running the last time is left alone: its trainer may not have checked in yet.
        """
        known, self._known = self._known & running, running
        if not known:
            return
        try:
            self._manager.heartbeat_dir = _CheckIns(self._check_ins)
        except OSError as error:  # without the check-ins, every run would seem to be lost
            self._report(f"cannot tell which runs have lost their trainer: {error}")
            return
        for run in known:
            self._close(run)

    def _close(self, run: str) -> None:
        try:
            is_lost = self._manager._is_run_stalled(run) and not has_writer(self._check_ins.parent, run)
            torn, problem = end_run(self._manager.repo, run, time.time()) if is_lost else (0, "")
        except Exception as error:  # noqa: BLE001  # one run must not keep the others from being closed
            torn, problem = 0, reason(error)
        if torn:
            say(f"removed {torn} half-written points of run {run}, whose trainer is gone")
        if problem:
            self._report(f"cannot close run {run}, whose trainer seems to be gone: {problem}")

    def _report(self, text: str) -> None:
        if text not in self._reported:
            say(text)
        self._reported.add(text)


class _CheckIns:
    """A folder of check-ins that is listed once, whatever is asked of it."""

    def __init__(self, folder: Path) -> None:
        self._paths: dict[str, list[Path]] = defaultdict(list)
        for path in folder.iterdir():
            self._paths[path.name.partition("-")[0]].append(path)

    def glob(self, pattern: str) -> list[Path]:
        """Check-ins of a run, as Aim asks for them: `<run>-*-progress-*-*`."""
        return [path for path in self._paths.get(pattern.partition("-")[0], ()) if path.match(pattern)]


def end_run(repository: Any, run: str, ended: float) -> tuple[int, str]:
    """End a run without its half-written points; returns how many those were, and why it has not ended, or nothing.

    One that cannot be ended keeps the mark of its progress, by which the server counts it as running.

    Args:
        repository: Aim's object.
        run: its hash; nobody else writes to it.
        ended: when it is said to have ended, unless it says so itself, in seconds since the epoch.
    """
    mark, store = (Path(repository.path, "meta", name, run) for name in ("progress", "chunks"))
    was_marked = mark.exists()
    torn, problem = _end(repository, run, ended)
    repository.container_pool.clear()
    if not problem:
        mark.unlink(missing_ok=True)
    elif was_marked and store.exists() and not mark.exists():
        mark.touch()  # Aim has removed it, with what it had opened
    return torn, problem


def _end(repository: Any, run: str, ended: float) -> tuple[int, str]:
    torn = 0
    try:
        torn = _remove_torn(repository, run)
        if not Path(repository.path, "meta/chunks", run, "CURRENT").exists():
            # Aim would make them, and a run that was deleted could not come back
            return torn, "its parameters are gone"
        tree = repository.request_tree("meta", run, read_only=False).subtree(("meta", "chunks", run))
        if tree.get("end_time") is None:
            tree["end_time"] = ended
    except Exception as error:  # noqa: BLE001  # whatever RocksDB raises
        return torn, reason(error)
    return torn, ""


def _remove_torn(repository: Any, run: str) -> int:
    from aimrocks.errors import Corruption

    try:
        return torn_points(repository.path, run, remove=True)
    except Corruption as error:  # which no later look mends: the run would seem to go on for ever
        say(f"run {run} is damaged, and its half-written points stay, if it has any: {reason(error)}")
        return 0

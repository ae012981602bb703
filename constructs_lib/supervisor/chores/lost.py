"""Closes runs whose writer is gone, and removes the locks that they have left (aimhubio/aim#2270, #2463, #2951).

The server does that for runs that check in. Others stay active for ever: those without a mark of their progress, and
those of trainers that were killed before they had checked in.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from .. import say
from ..closing import close_run
from ..patches.points import torn_points
from ..patches.rocks import read_run
from .task import Task


def close(task: Task) -> str:
    """Close runs that have no end, no writer, and no change for a while; returns the conclusion.

    Raises:
        Refusal: a run that is named is not there.
    """
    from aim.sdk.repo import Repo

    repository, closed = Repo.from_path(str(task.volume)), 0
    for run, changed in lost_runs(task, repository):
        say(f"run {run}: {task.would('closes it', 'close it')}, last written {_ago(changed)} ago")
        closed += close_run(repository, run, changed) if task.apply else 1
    _mend(task, repository)
    locks = _remove_locks(task)
    return task.concluded(f"{closed} runs without a writer are closed, {locks} stale locks of runs are removed")


def lost_runs(task: Task, repository: Any) -> Iterator[tuple[str, float]]:
    """Runs without an end and without a writer, and when they have changed last."""
    for run in task.chosen:
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
            changed = task.changed(run)
            if time.time() - changed <= task.older_than or _has_ended(repository, run):
                continue
            if task.has_writer(run):
                say(f"run {run} has a writer, which has written nothing for {_ago(changed)}: left alone")
                continue
            yield run, changed


def half_written(task: Task, run: str, *, remove: bool = False) -> int:
    """How many half-written points a run has that nobody writes to; 0 for a damaged one, which the report names."""
    try:
        return 0 if task.has_writer(run) else torn_points(task.repository, run, remove=remove)
    except Exception:  # noqa: BLE001  # whatever RocksDB raises
        return 0


def _mend(task: Task, repository: Any) -> None:
    """Remove half-written points of named runs that have ended: Aim's own server has closed them as they were."""
    for run in task.runs:
        torn = half_written(task, run, remove=task.apply) if _has_ended(repository, run) else 0
        if torn:
            say(f"run {run}: {task.would('removes', 'remove')} {torn} half-written points")


def stale_locks(task: Task) -> list[str]:
    """Names of lock files of runs that nobody writes to."""
    locks = sorted((task.repository / "locks").glob("*.softlock"))
    names = [lock.stem for lock in locks if task.is_old(lock) and not task.has_writer(lock.stem)]
    return [run for run in names if not task.runs or run in task.runs]


def _has_ended(repository: Any, run: str) -> bool:
    try:
        with read_run(repository.path, run) as tree:
            return tree.get("end_time") is not None
    except Exception:  # noqa: BLE001  # a damaged run is the report's business
        return True


def _remove_locks(task: Task) -> int:
    stale = stale_locks(task)
    for run in stale:
        say(f"run {run}: {task.would('removes', 'remove')} its stale lock")
        if task.apply:
            (task.repository / "locks" / f"{run}.softlock").unlink(missing_ok=True)
    return len(stale)


def _ago(moment: float) -> str:
    minutes = (time.time() - moment) / 60
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"

"""Reports damaged runs, runs without a writer, stale locks, and what the trash has; changes nothing."""

from __future__ import annotations

import time
from pathlib import Path

from .. import Refusal, say
from ..patches.rocks import read_all, read_run, reason
from ..staging import listed_runs
from ..trash import KINDS, entries
from .leftovers import leftovers
from .lost import half_written, lost_runs, stale_locks
from .task import Task

_TRIES, _PAUSE_SECONDS = 3, 2
"""A writer replaces files while they are read."""


def report(task: Task) -> str:
    """Read every byte of every run; returns the conclusion.

    Raises:
        Refusal: a run is damaged, so that the Job fails and is noticed; or one that is named is not there.
    """
    from aim.sdk.repo import Repo

    names = task.chosen
    damaged = [run for run in names if _is_damaged(task, run)]
    lost = [run for run, _ in lost_runs(task, Repo.from_path(str(task.volume)))]
    unlisted = sorted(set(names).difference(listed_runs(task.repository)))
    locks, rest, trash = stale_locks(task), leftovers(task), entries(task.volume)
    for run in names:
        if half_written(task, run):
            say(
                f"run {run} has half-written points, and gives values to other steps: the chore close with RUN mends it"
            )
    for run in lost:
        say(f"run {run} has no end and no writer: the chore close ends it")
    for run in unlisted:
        say(f"run {run} is in no database: a client that opens it by aim.Run('{run}') lists it under a default name")
    for run in locks:
        say(f"run {run} has a stale lock: the chore close removes it")
    for path in rest:
        say(f"{path} is of a run that is gone: the chore prune removes it")
    found = f"{len(lost)} without a writer, {len(locks)} stale locks, {len(rest)} leftovers, {len(trash)} in the trash"
    found = f"{found}, {len(unlisted)} in no database"
    text = f"{len(damaged)} of {len(names)} runs are damaged; {found}"
    if damaged:
        raise Refusal(f"{text}: restore a damaged run by make restore RUN=<hash>")
    return text


def _is_damaged(task: Task, run: str) -> bool:
    stores = [task.repository / kind / "chunks" / run for kind in KINDS]
    problems = [problem for store in stores if store.exists() for problem in [_problem(store)] if problem]
    if not problems and not stores[0].exists() and _has_sequences(task, run):
        problems = ["its sequences are gone"]
    for problem in problems:
        say(f"run {run} is damaged: {problem}")
    return bool(problems)


def _has_sequences(task: Task, run: str) -> bool:
    try:
        with read_run(task.repository, run) as tree:
            return bool(tree.get("traces", {}))
    except Exception:  # noqa: BLE001  # whatever RocksDB raises; deleted meanwhile
        return False


def _problem(store: Path) -> str:
    problem = ""
    for _ in range(_TRIES):
        try:
            read_all(store)
        except Exception as error:  # noqa: BLE001  # whatever RocksDB raises for bytes that are not its own
            problem = reason(error)
        else:
            return ""
        if not store.exists():  # deleted meanwhile
            return ""
        time.sleep(_PAUSE_SECONDS)
    return problem

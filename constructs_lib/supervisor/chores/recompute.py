"""Brings metrics of former versions of Aim to the form that this one reads fast (`aim runs update-metrics`)."""

from __future__ import annotations

from .. import Refusal, say
from ..patches.former_metrics import is_former, update
from ..patches.rocks import reason
from ..requests import alone_or_asked
from .task import Task


def recompute(task: Task) -> str:
    """Update runs that nobody writes to; returns the conclusion.

    Raises:
        Refusal: a run cannot be updated, or one that is named is not there.
    """
    done = {run: _tried(task, run) for run in task.chosen}
    updated, failed = sum(each is True for each in done.values()), sum(each is None for each in done.values())
    if task.apply and updated:
        say(alone_or_asked(task.volume, "compare", lambda: "no server runs: the next one indexes them"))
    text = f"{updated} of {len(task.names)} runs have metrics in a former form, and are updated"
    if failed:
        raise Refusal(f"{text}; {failed} cannot be updated, as the lines before say")
    return task.concluded(text)


def _tried(task: Task, run: str) -> bool | None:
    """Whether a run was updated; None where it cannot be, which is no reason to leave the others."""
    try:
        return _update(task, run)
    except Exception as error:  # noqa: BLE001  # whatever Aim and RocksDB raise
        say(f"run {run} cannot be updated: {reason(error)}")
        return None


def _update(task: Task, run: str) -> bool:
    if not is_former(task.repository, run):
        return False
    if task.has_writer(run):
        say(f"run {run} has a writer: left alone")
        return False
    say(f"run {run}: {task.would('updates', 'update')} its metrics")
    if task.apply:
        update(task.volume, run)
    return True

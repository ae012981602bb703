"""Empties the trash, and brings runs back from it."""

from __future__ import annotations

import time

from .. import say
from ..closing import close_run
from ..trash import empty, entries, find, take_back
from .task import Task


def empty_trash(task: Task) -> str:
    """Remove runs for good that were deleted a while ago, or those that are named; returns the conclusion."""
    listed = entries(task.volume)
    old = [each for each in listed if time.time() - each.deleted > task.older_than and not task.runs]
    named = [each for each in listed if each.run in task.runs]
    count = empty([*old, *named], apply=task.apply)
    return task.concluded(f"{count} of {len(listed)} deleted runs are removed for good")


def undelete(task: Task) -> str:
    """Bring named runs back, while the server goes on; without a name, list the trash. Returns the conclusion.

    Raises:
        Refusal: a run is not in the trash, or in the repository.
    """
    if not task.runs:
        listed = entries(task.volume)
        for entry in listed:
            say(f"run {entry}")
        return f"the trash has {len(listed)} runs; to bring one back, set RUN=<hash> and APPLY=yes"
    for run in task.runs:
        if not task.apply:
            find(task.volume, run)
            continue
        say(f"brought run {take_back(task.volume, run)} back")
        _close(task, run)
    return task.concluded(f"{len(task.runs)} deleted runs are brought back")


def _close(task: Task, run: str) -> None:
    """End a run that was deleted while it was written: its writer has failed then."""
    from aim.sdk.repo import Repo

    if (task.repository / "meta/chunks" / run).exists() and not task.has_writer(run):
        close_run(Repo.from_path(str(task.volume)), run, task.changed(run), quiet=True)

"""Closes runs that nobody writes to any more, such as those of a copy that were in progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import say
from .patches.lost_runs import end_run


def close_runs(volume: Path, ended: float) -> int:
    """End every run in progress of a repository that nobody serves; returns how many it was able to.

    Args:
        volume: with the repository.
        ended: when they are said to have ended, in seconds since the epoch.
    """
    from aim.sdk.repo import Repo

    closed = 0
    for progress in sorted((volume / ".aim/meta/progress").glob("*")):
        if (volume / ".aim/meta/chunks" / progress.name).exists():
            closed += close_run(Repo.from_path(str(volume)), progress.name, ended)
        else:
            progress.unlink()
    return closed


def close_run(repository: Any, run: str, ended: float, *, quiet: bool = False) -> bool:
    """End a run without its half-written points, and say so; returns whether it has ended.

    Args:
        repository: Aim's object.
        run: its hash; nobody else writes to it.
        ended: when it is said to have ended, unless it says so itself, in seconds since the epoch.
        quiet: say only what is wrong with it.
    """
    torn, problem = end_run(repository, run, ended)
    if problem:
        say(f"cannot close run {run}: {problem}")
    elif torn or not quiet:
        say(f"closed run {run}" + (f", without {torn} half-written points" if torn else ""))
    return not problem

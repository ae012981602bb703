"""Closes runs that nobody writes to any more, such as those of a copy that were in progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import say


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
    """End a run, and remove its half-written points; returns whether it has ended.

    One that cannot be closed keeps the mark of its progress, by which the server counts it as running.

    Args:
        repository: Aim's object.
        run: its hash; nobody else writes to it.
        ended: when it is said to have ended, unless it says so itself, in seconds since the epoch.
        quiet: say only what is wrong with it.
    """
    mark = Path(repository.path, "meta/progress", run)
    was_marked, is_closed = mark.exists(), _end(repository, run, ended, quiet=quiet)
    repository.container_pool.clear()
    if is_closed:
        mark.unlink(missing_ok=True)
    elif was_marked:
        mark.touch()  # Aim has removed it, with what it had opened
    return is_closed


def _end(repository: Any, run: str, ended: float, *, quiet: bool) -> bool:
    try:
        tree = repository.request_tree("meta", run, read_only=False).subtree(("meta", "chunks", run))
        torn = _remove_torn(repository, run)
        if tree.get("end_time") is None:  # last: a run that has ended is not looked at again
            tree["end_time"] = ended
    except Exception as error:  # noqa: BLE001  # one damaged run is no reason to restore none
        say(f"cannot close run {run}: {type(error).__name__}: {error}")
        return False
    if torn or not quiet:
        say(f"closed run {run}" + (f", without {torn} half-written points" if torn else ""))
    return True


def _remove_torn(repository: Any, run: str) -> int:
    """Remove points without a step, which Aim writes last: it would take all later ones for their neighbours'."""
    if not Path(repository.path, "seqs/chunks", run).exists():  # Aim would make it, and the report miss it no more
        return 0
    sequences = repository.request_tree("seqs", run, read_only=False)
    contexts, torn = sequences.subtree(("seqs", "v2", "chunks", run)), 0
    for context in [*contexts.keys()]:
        for name in [*contexts.subtree(context).keys()]:
            series = contexts.subtree((context, name))
            columns = {column: {key for key, _ in series.subtree(column).items()} for column in [*series.keys()]}
            missing = set().union(*columns.values()) - columns.get("step", set())
            for column, keys in columns.items():
                for key in missing & keys:
                    del series.subtree(column)[key]
            torn += len(missing)
    return torn

"""Closes runs that nobody writes to any more, such as those of a copy that were in progress."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import say
from .patches.lost_runs import end_run
from .patches.rocks import reason


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
    torn, problem = 0, ""
    try:
        torn = _remove_torn(repository, run)
    except Exception as error:  # noqa: BLE001  # one damaged run is no reason to leave the others
        problem = reason(error)
    problem = problem or end_run(repository, run, ended)
    if problem:
        say(f"cannot close run {run}: {problem}")
    elif torn or not quiet:
        say(f"closed run {run}" + (f", without {torn} half-written points" if torn else ""))
    return not problem


def _remove_torn(repository: Any, run: str) -> int:
    """Remove points without what Aim writes last of one: it would take all later ones for their neighbours'."""
    if not Path(repository.path, "seqs/chunks", run).exists():  # Aim would make it, and the report miss it no more
        return 0
    container = repository.request_container("seqs", run, read_only=False)
    numbers = (("seqs", "v2", "chunks", run), "step")
    objects = (("seqs", "chunks", run), "time")  # images, texts, distributions; metrics of former versions
    return sum(_remove_torn_of(container, *kind) for kind in (numbers, objects))


def _remove_torn_of(container: Any, contexts: tuple[Any, ...], last: str) -> int:
    tree, torn = container.tree().subtree(contexts), 0
    for context in [*tree.keys()]:
        for name in [*tree.subtree(context).keys()]:
            series = (*contexts, context, name)
            # where the time is not recorded from the first point on, those without it are of a former version of Aim
            if last == "step" or _first(container, (*series, "val")) == _first(container, (*series, last)):
                columns = {*tree.subtree((context, name)).keys()} - {last}
                torn += _remove_incomplete(container, series, columns, last)
    return torn


def _first(container: Any, column: tuple[Any, ...]) -> bytes:
    return next(_points(container, column), b"")


def _remove_incomplete(container: Any, series: tuple[Any, ...], columns: set[str], last: str) -> int:
    """Remove from columns the points that the last one has not; returns how many points that are."""
    from aim.storage.encoding import decode_path

    tree, missing = container.tree().subtree(series), set()
    for column in columns:
        whole = _points(container, (*series, last))
        for point in [*_others(_points(container, (*series, column)), whole)]:
            (key,) = decode_path(point)
            if tree.subtree(last).get(key) is None:  # asked once more: what follows is for good
                del tree.subtree(column)[key]
                missing.add(key)
    return len(missing)


def _points(container: Any, column: tuple[Any, ...]) -> Iterator[bytes]:
    """Encoded keys of a column in their order; one by one, as a trainer may have written millions."""
    from aim.storage.encoding import encode_path

    prefix, length, last = encode_path(column), len(encode_path((0,))), b""
    for key, _ in container.items(prefix):
        point = bytes(key[len(prefix) :][:length])
        if point != last:  # an image has several values, and the column one without a key
            last = point
            yield point


def _others(points: Iterator[bytes], among: Iterator[bytes]) -> Iterator[bytes]:
    """Points that are not among others, of which both come in the same order."""
    other = next(among, None)
    for point in points:
        while other is not None and other < point:
            other = next(among, None)
        if other != point:
            yield point

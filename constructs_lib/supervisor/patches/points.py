"""Finds and removes half-written points of a run: they lack what Aim writes last of one.

Wrong in Aim 3.29: it writes the values of a point one after the other, and reads those of a series by their position.
After a trainer was killed in between, values belong to other steps for ever: 4 of 12 runs, killed at full speed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .rocks import open_store

_NUMBERS, _OBJECTS = ("seqs", "v2", "chunks"), ("seqs", "chunks")
"""Contexts of metrics; and those of images, texts and other objects, and of metrics of former versions of Aim."""


def torn_points(repository: str | Path, run: str, *, remove: bool) -> int:
    """Count the half-written points of a run.

    Args:
        repository: the folder `.aim`.
        run: its hash.
        remove: remove them; nobody else writes to the run.

    Raises:
        Exception: whatever RocksDB raises.
    """
    # without its lock at first: a trainer that comes back meanwhile would fail by that
    torn = _look(repository, run, remove=False)
    return _look(repository, run, remove=True) if torn and remove else torn


def _look(repository: str | Path, run: str, *, remove: bool) -> int:
    torn = 0
    with _sequences(repository, run, read_only=not remove) as container:
        for contexts, last in ((_NUMBERS, "step"), (_OBJECTS, "time")) if container else ():
            for series in _series(container, (*contexts, run)):
                # where the time is not recorded from the first point on, those without it are of a former version
                if last == "step" or _has_from_the_first_on(container, series, last):
                    torn += _torn_of(container, series, last, remove=remove)
    return torn


def untimed_metrics(repository: Path, run: str, metrics: Iterable[tuple[int, str]]) -> list[str]:
    """Names of metrics in the form of former versions of Aim whose points have no time, or no epoch.

    Args:
        repository: the folder `.aim`.
        run: its hash.
        metrics: contexts and names to look at.
    """
    with _sequences(repository, run, read_only=True) as container:
        series = [(*_OBJECTS, run, *metric) for metric in metrics] if container else []
        lacks = [
            each for each in series for name in ("epoch", "time") if not _has_from_the_first_on(container, each, name)
        ]
    return sorted({str(each[-1]) for each in lacks})


@contextlib.contextmanager
def _sequences(repository: str | Path, run: str, *, read_only: bool) -> Iterator[Any]:
    """The store of the sequences of a run; None where it has none, as RocksDB would make one."""
    store = Path(repository, "seqs/chunks", run)
    if not store.exists():
        yield None
        return
    with contextlib.closing(open_store(store, read_only=read_only)) as container:
        yield container


def _series(container: Any, contexts: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    tree = container.tree().subtree(contexts)
    return [(*contexts, context, name) for context in [*tree.keys()] for name in [*tree.subtree(context).keys()]]


def _has_from_the_first_on(container: Any, series: tuple[Any, ...], column: str) -> bool:
    first, other = (next(_points(container, (*series, name)), b"") for name in ("val", column))
    return first == other


def _torn_of(container: Any, series: tuple[Any, ...], last: str, *, remove: bool) -> int:
    """How many points the last column of a series has not, and others have."""
    from aim.storage.encoding import decode_path

    tree, torn = container.tree().subtree(series), set()
    for column in {*tree.keys()} - {last}:
        whole = _points(container, (*series, last))
        for point in [*_others(_points(container, (*series, column)), whole)]:
            (key,) = decode_path(point)
            if tree.subtree(last).get(key) is None:  # asked once more: what follows is for good
                torn.add(key)
                if remove:
                    del tree.subtree(column)[key]
    return len(torn)


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

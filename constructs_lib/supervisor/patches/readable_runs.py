"""Finds runs that cannot be read, without opening those that the indexer could read.

Wrong in Aim 3.29: the request that each page of the UI begins with opens every run for that, and keeps them all open:
some 0.3 MB and a file each, in each worker (aimhubio/aim #2408, #3389). A run that is damaged after it was indexed is
not found here; a search that reads it fails with its name, as before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MOST_OPENED = 20
"""Runs that one request opens: while a repository is indexed, thousands are not indexed yet."""


class ReadableRuns:
    """Remembers which runs could be read."""

    def __init__(self) -> None:
        self._indexed: set[str] = set()
        self._tried: dict[str, tuple[int, bool]] = {}

    def list_corrupted(self, repo: Any) -> list[str]:
        """List runs that cannot be read, in the place of `Repo.list_corrupted_runs`."""
        chunks = Path(repo.path, "meta", "chunks")
        runs = set(os.listdir(chunks)) if chunks.exists() else set()  # noqa: PTH208  # a fifth of the time for names
        self._indexed &= runs
        self._indexed |= _indexed_of(repo, runs - self._indexed)
        unknown = sorted(runs - self._indexed)
        self._tried = {run: self._tried[run] for run in unknown if run in self._tried}
        budget = iter(range(_MOST_OPENED))
        return [run for run in unknown if not self._can_be_read(chunks / run, budget)]

    def _can_be_read(self, run: Path, budget: Iterator[int]) -> bool:
        try:
            changed = run.stat().st_mtime_ns
        except OSError:  # it has been deleted
            return True
        if self._tried.get(run.name, (0, True))[0] != changed:
            if next(budget, None) is None:
                return True
            self._tried[run.name] = (changed, _opens(run))
        return self._tried[run.name][1]


def _indexed_of(repo: Any, runs: set[str]) -> set[str]:
    from aim.storage.encoding import encode_path
    from aim.storage.union import RocksUnionContainer

    if not runs or not Path(repo.path, "meta", "index", "CURRENT").exists():
        return set()
    index = repo.request_container("meta", None, read_only=True)
    if isinstance(index, RocksUnionContainer):  # the index cannot be read, and this one would open every run
        return set()
    return {run for run in runs if index.get(encode_path(("index_cache", run))) is not None}


def _opens(run: Path) -> bool:
    import aimrocks

    try:
        store = aimrocks.DB(str(run), aimrocks.Options(create_if_missing=False), read_only=True)
        store.iteritems().seek_to_first()
    except (aimrocks.errors.RocksIOError, aimrocks.errors.Corruption):
        return False
    return True

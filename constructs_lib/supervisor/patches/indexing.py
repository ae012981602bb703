"""Mends Aim's index of runs: one thread writes it, in the open for moments only; `index_readers` leave it alone.

Wrong in Aim 3.29:

* A damaged index ends the thread that writes it (aimhubio/aim#2950, #3233). Here it is moved aside and built anew.
* A run is written to the index key by key after its former keys were deleted, so that a search finds half of it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .rocks import is_lock, open_store, reason, retried, rocks_errors

MARKER = ".corrupted"
"""Aim's own mark of a damaged index, below which its UI warns; a reader leaves it for the indexer."""


class Damaged(Exception):  # noqa: N818
    """The index cannot be read or written, for another reason than the ones below."""


class NoRoom(Exception):  # noqa: N818
    """The volume is full."""


class Locked(Exception):  # noqa: N818
    """Another process has the index open for writing."""


class Index:
    """Aim's index of a repository, `meta/index`: a copy of each run's `meta/chunks`, which searches read instead.

    Attributes:
        path: its folder.
    """

    def __init__(self, repository: Path) -> None:
        self.path = repository / "meta" / "index"
        self._chunks = repository / "meta" / "chunks"
        self._left: dict[str, int] = {}

    @contextlib.contextmanager
    def opened(self, wait: float) -> Iterator[Any]:
        """Open the index for writing, made where there is none; nobody else can write while it is open.

        Args:
            wait: seconds to wait for a lock.

        Raises:
            Damaged, NoRoom, Locked: when opened, within the block, or when what was written is flushed.
            OSError: there is no repository; Aim would make one.
        """
        self._chunks.stat()
        with self._told_apart():
            container = retried(lambda: open_store(self.path, read_only=False), seconds=wait)
            try:
                yield container
            finally:
                container.close()
                self._left = self._files()

    def checksums(self) -> dict[str, str]:
        """Read the whole index, and return the checksum of each run as it was indexed.

        Aim opens an index that has lost a table, and fails when it gets there: reading all of it is the only proof.

        Raises:
            Damaged, NoRoom: it cannot be read.
        """
        from aim.storage.encoding import decode, decode_path, encode_path

        prefix, found = encode_path("index_cache"), {}
        with self.read() as container:
            for key, value in container.items():
                if key.startswith(prefix):
                    found[str(decode_path(key)[1])] = str(decode(value))
            self._left = self._files()
        return found

    def checksum(self, run: str) -> str:
        """Aim's checksum of a run's files: their names, sizes and modification times."""
        from aim.sdk.index_manager import RepoIndexManager

        checksum: str = RepoIndexManager._get_run_checksum(SimpleNamespace(chunks_dir=self._chunks), run)
        return checksum

    def copy(self, index: Any, run: str, checksum: str) -> Any:
        """Read a run; returns one write to the index that replaces all there is of it.

        Raises:
            Exception: the run cannot be read; whatever Aim and RocksDB raise for bytes that are not theirs.
        """
        from aim.storage.encoding import encode_path
        from aim.storage.treeutils import encode_tree

        batch = _batch()(index)
        with contextlib.closing(open_store(self._chunks / run, read_only=True)) as container:
            container.view(encode_path(("meta", "chunks", run))).finalize(batch)
        for key, value in encode_tree(checksum):
            batch[encode_path(("index_cache", run)) + key] = value
        return batch.writes

    def forget(self, index: Any, run: str) -> None:
        """Remove a deleted run; Aim leaves its checksum behind, and all of it where it is indexed meanwhile."""
        tree = index.tree()
        del tree["meta", "chunks", run]
        del tree["index_cache", run]

    def is_there(self) -> bool:
        """Whether there is an index at all."""
        return os.path.exists(self.path / "CURRENT")  # noqa: PTH110  # False, too, where it cannot be seen

    def was_touched(self) -> bool:
        """Whether a table or all of the index is gone or another one, or a reader has left its mark; removes that."""
        files = self._files()
        if MARKER in files:
            (self.path / MARKER).unlink()
        return files != self._left

    def _files(self) -> dict[str, int]:
        """What tells that somebody else wrote the index: its tables with their sizes, its mark, and its inode."""
        if not self.is_there():
            return {}
        with os.scandir(self.path) as entries:
            files = {each.name: each.stat().st_size for each in entries if each.name.endswith((".sst", MARKER))}
        return {**files, "": self.path.stat().st_ino}

    def orphans(self, index: Any, runs: Iterable[str]) -> list[bytes]:
        """Return keys of parameters and sequences in the index that no run has: Aim leaves those of deleted runs.

        Args:
            index: opened, for reading or writing.
            runs: hashes of all runs.
        """
        from aim.storage.encoding import encode_path

        everything, kept = encode_path("meta"), encode_path(("meta", "chunks"))
        keys = {key for key, _ in index.items(everything) if not key.startswith(kept)}
        for run in runs if keys else ():
            with contextlib.closing(open_store(self._chunks / run, read_only=True)) as container:
                keys.difference_update([key for key, _ in container.items(everything) if not key.startswith(kept)])
        return sorted(keys)

    @contextlib.contextmanager
    def read(self) -> Iterator[Any]:
        """Open the index for reading.

        Raises:
            Damaged: it cannot be read.
        """
        with self._told_apart(), contextlib.closing(open_store(self.path, read_only=True)) as container:
            yield container

    def move_aside(self, name: str = "index.damaged") -> Path:
        """Rename the index, of which the last one is kept; returns its path.

        Args:
            name: its new name. Default: that of a damaged one.

        Raises:
            OSError: it cannot be renamed.
        """
        aside = self.path.with_name(name)
        _remove(aside)
        if os.path.lexists(aside):  # it belongs to somebody else
            aside = self.path.with_name(f"{name}-{time.time():.0f}")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(aside)
        return aside

    def discard(self, aside: Path) -> None:
        """Remove an index that was moved aside."""
        if aside.parent != self.path.parent or not aside.name.startswith(f"{self.path.name}."):
            raise ValueError(aside)
        _remove(aside)

    @contextlib.contextmanager
    def _told_apart(self) -> Iterator[None]:
        """Turn errors of RocksDB and the file system into the three that ask for something different each."""
        failures: tuple[type[Exception], ...] = (*rocks_errors(), OSError)
        try:
            yield
        except failures as error:
            text = reason(error)
            if is_lock(text):
                raise Locked(text) from None
            full = "No space left" in text or "quota exceeded" in text or os.statvfs(self._chunks).f_bavail == 0
            raise (NoRoom if full else Damaged)(text) from None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()


@functools.cache
def _batch() -> Any:
    """A class that collects in one write what Aim's `finalize` writes key by key; Aim takes a `Container` only."""
    from aim.storage.container import Container

    class Batch(Container):  # type: ignore[misc]
        def __init__(self, index: Any) -> None:
            self.index, self.writes = index, index.batch()

        def delete_range(self, begin: bytes, end: bytes, store_batch: Any = None) -> None:  # noqa: ARG002
            self.index.delete_range(begin, end, store_batch=self.writes)

        def __setitem__(self, key: bytes, value: Any) -> None:
            self.index.set(key, value, store_batch=self.writes)

    return Batch

"""Mends Aim's index of runs: one thread writes it, in the open for moments only, and readers leave it alone.

Wrong in Aim 3.29:

* A damaged index ends the thread that writes it, and any reader deletes it (aimhubio/aim#2950, #3233). Here it is moved
  aside and built anew, by the indexer only.
* Readers open the index for writing, to tidy it up, and meet the indexer: "While lock file ...: Resource temporarily
  unavailable", "lock hold by current process". Here they open it for reading only, and wait for a lock when deleting.
* A run is written to the index key by key after its former keys were deleted, so that a search finds half of it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

from .asgi import App, Receive, Scope, Send

_MARKER = ".corrupted"
"""Aim's own mark of a damaged index, below which its UI warns; a reader leaves it for the indexer."""

_DELETION_SECONDS = 10
"""How long a deletion waits for the indexer to close the index."""

_RETRY_SECONDS = 0.02

_PATIENCE = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between a reader's tries."""

_MARK_SECONDS = 60
_LISTED_SECONDS = 0.1
"""For how long Aim takes its list of runs for up to date."""


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
            container = _retried(lambda: _container(self.path, read_only=False), seconds=wait)
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
        with contextlib.closing(_container(self._chunks / run, read_only=True)) as container:
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
        if _MARKER in files:
            (self.path / _MARKER).unlink()
        return files != self._left

    def _files(self) -> dict[str, int]:
        """What tells that somebody else wrote the index: its tables with their sizes, its mark, and its inode."""
        if not self.is_there():
            return {}
        with os.scandir(self.path) as entries:
            files = {each.name: each.stat().st_size for each in entries if each.name.endswith((".sst", _MARKER))}
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
            with contextlib.closing(_container(self._chunks / run, read_only=True)) as container:
                keys.difference_update([key for key, _ in container.items(everything) if not key.startswith(kept)])
        return sorted(keys)

    @contextlib.contextmanager
    def read(self) -> Iterator[Any]:
        """Open the index for reading.

        Raises:
            Damaged: it cannot be read.
        """
        with self._told_apart(), contextlib.closing(_container(self.path, read_only=True)) as container:
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
        failures: tuple[type[Exception], ...] = (*_rocks_errors(), OSError)
        try:
            yield
        except failures as error:
            text = reason(error)
            if _is_lock(text):
                raise Locked(text) from None
            full = "No space left" in text or "quota exceeded" in text or os.statvfs(self._chunks).f_bavail == 0
            raise (NoRoom if full else Damaged)(text) from None


@contextlib.contextmanager
def read_run(repository: str | Path, run: str) -> Iterator[Any]:
    """Open what a run's own store has of it, without the index: parameters, sequences, its end.

    Raises:
        Exception: whatever RocksDB raises for bytes that are not its own.
    """
    with contextlib.closing(_container(Path(repository, "meta/chunks", run), read_only=True)) as container:
        yield container.tree().subtree(("meta", "chunks", run))


def read_all(store: Path) -> None:
    """Read every key and value of a store of a run; RocksDB compares checksums.

    Raises:
        Exception: whatever RocksDB raises for bytes that are not its own.
    """
    with contextlib.closing(_container(store, read_only=True)) as container:
        for _ in container.items():
            pass


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()


def _container(path: Path, *, read_only: bool) -> Any:
    from aim.storage.rockscontainer import RocksContainer

    return RocksContainer(str(path), read_only=read_only, skip_read_optimization=True)


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


def _rocks_errors() -> tuple[type[Exception], ...]:
    from aimrocks import errors

    return (errors.RocksIOError, errors.Corruption, errors.InvalidArgument, errors.Incomplete, errors.NotSupported)


def reason(error: BaseException) -> str:
    """What RocksDB says, without the marks of bytes; of another error, its kind and what it says."""
    text = str(error)
    if isinstance(error, _rocks_errors()):
        return text[2:-1] if text.startswith(("b'", 'b"')) else text
    return f"{type(error).__name__}: {text}".rstrip(": ")


def _is_lock(text: str) -> bool:
    """Whether a database is open for writing: in another process, or in this one where it is not collected yet."""
    return "While lock file" in text or "lock hold by current process" in text


def _retried(make: Callable[[], Any], *, seconds: float) -> Any:
    """Try until a lock is free, for some seconds."""
    from aimrocks.errors import RocksIOError

    end = time.monotonic() + seconds
    while True:
        try:
            return make()
        except RocksIOError as error:
            if not _is_lock(str(error)) or time.monotonic() > end:
                raise
        gc.collect()
        time.sleep(_RETRY_SECONDS)


def protect_index() -> None:
    """Keep this process from writing the index: for the web server's workers, and for the tracking server."""
    from aim.sdk.repo import Repo
    from aim.storage import union
    from aim.storage.rockscontainer import RocksContainer

    tidy, tidy_database = RocksContainer.optimize_for_read, union.optimize_db_for_read
    request, write = Repo.request_container, Repo._get_index_container

    def tidy_run(container: Any) -> None:
        if not _is_index(container.path):
            tidy(container)

    def tidy_run_database(path: Path, options: dict[str, Any], **more: Any) -> None:
        if not _is_index(path):
            tidy_database(path, options, **more)

    def request_index(repo: Any, name: str, sub: Any = None, **options: Any) -> Any:
        if (name, sub) == ("meta", None):
            return _reader(repo)
        return request(repo, name, sub, **options)

    def write_index(repo: Any, name: str, timeout: int) -> Any:
        return _retried(lambda: write(repo, name, timeout), seconds=_DELETION_SECONDS)

    RocksContainer.optimize_for_read, union.optimize_db_for_read = tidy_run, tidy_run_database
    union.DB.dbs = property(_databases)
    Repo.request_container = request_index
    Repo._get_index_container = write_index


def _is_index(path: Path) -> bool:
    return path.name == "index" and path.parent.name == "meta"


def _reader(repo: Any) -> Any:
    """Open the index for reading, once a request; where it stays unreadable, read all runs, as Aim does."""
    from aim.sdk.repo import ContainerConfig
    from aim.storage.union import RocksUnionContainer

    config = ContainerConfig("meta", None, True)
    container = repo.container_pool.get(config)
    if container is None:
        meta = Path(repo.path, "meta")
        container = _readable(meta / "index") or RocksUnionContainer(str(meta), read_only=True)
        repo.container_pool[config] = container
    return container


def _readable(index: Path) -> Any | None:
    """Open the index, trying again: the indexer replaces its files at any moment, and all of it where it is damaged."""
    for pause in _PATIENCE:
        with contextlib.suppress(*_rocks_errors()):
            return _container(index, read_only=True)
        if pause > _PATIENCE[1]:
            mark_damaged(index)
        time.sleep(pause)
    return None


def mark_damaged(index: Path) -> None:
    """Ask the indexer to read the whole index, and to build it anew where that fails."""
    with contextlib.suppress(OSError):
        (index / _MARKER).touch()


class IndexDamage:
    """Passes requests on; where RocksDB fails in one, the indexer is asked to read the index.

    Only reading a part of it shows that it is damaged, and which part is read depends on the search.
    """

    def __init__(self, app: App, volume: Path) -> None:
        self._app, self._index = app, volume / ".aim" / "meta" / "index"
        self._marked = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        try:
            await self._app(scope, receive, send)
        except _rocks_errors():
            if time.monotonic() - self._marked > _MARK_SECONDS:  # or it is a run that is damaged, not the index
                self._marked = time.monotonic()
                mark_damaged(self._index)
            raise


def _databases(runs: Any) -> dict[bytes, Any]:
    """Open every run, and the index; in place of `union.DB.dbs`, which deletes an index that it cannot read."""
    from aim.storage.encoding import encode_path

    if time.monotonic() - getattr(runs, "listed", -1.0) < _LISTED_SECONDS:
        return runs._dbs  # type: ignore[no-any-return]
    folder = Path(runs.db_path, runs.db_name)
    found: dict[bytes, Any] = {}
    for path in (folder / "chunks").iterdir():
        prefix = encode_path((runs.db_name, "chunks", path.name))
        try:
            runs._get_db(prefix, str(path), runs._dbs, found)
        except _rocks_errors():
            runs._corrupted_dbs.add(prefix)
    with contextlib.suppress(*_rocks_errors()):
        runs._get_db(b"", str(folder / "index"), runs._dbs, found)
    runs._dbs, runs.listed = found, time.monotonic()
    return found

"""RocksDB's stores, as Aim makes them: opened as they are, and what RocksDB says when it fails."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

_RETRY_SECONDS = 0.02


def open_store(path: Path, *, read_only: bool) -> Any:
    """Open a store, without the compaction that Aim does before it reads one."""
    from aim.storage.rockscontainer import RocksContainer

    return RocksContainer(str(path), read_only=read_only, skip_read_optimization=True)


@contextlib.contextmanager
def read_run(repository: str | Path, run: str) -> Iterator[Any]:
    """Open what a run's own store has of it, without the index: parameters, sequences, its end.

    Raises:
        Exception: whatever RocksDB raises for bytes that are not its own.
    """
    with contextlib.closing(open_store(Path(repository, "meta/chunks", run), read_only=True)) as container:
        yield container.tree().subtree(("meta", "chunks", run))


def read_all(store: Path) -> None:
    """Read every key and value of a store of a run; RocksDB compares checksums.

    Raises:
        Exception: whatever RocksDB raises for bytes that are not its own.
    """
    with contextlib.closing(open_store(store, read_only=True)) as container:
        for _ in container.items():
            pass


def rocks_errors() -> tuple[type[Exception], ...]:
    """What is raised for bytes that are not RocksDB's own, and for locks."""
    from aimrocks import errors

    return (errors.RocksIOError, errors.Corruption, errors.InvalidArgument, errors.Incomplete, errors.NotSupported)


def reason(error: BaseException) -> str:
    """What RocksDB says, without the marks of bytes; of another error, its kind and what it says."""
    text = str(error)
    if isinstance(error, rocks_errors()):
        return text[2:-1] if text.startswith(("b'", 'b"')) else text
    return f"{type(error).__name__}: {text}".rstrip(": ")


def is_lock(text: str) -> bool:
    """Whether a database is open for writing: in another process, or in this one where it is not collected yet."""
    return "While lock file" in text or "lock hold by current process" in text


def retried(make: Callable[[], Any], *, seconds: float) -> Any:
    """Try until a lock is free, for some seconds."""
    from aimrocks.errors import RocksIOError

    end = time.monotonic() + seconds
    while True:
        try:
            return make()
        except RocksIOError as error:
            if not is_lock(str(error)) or time.monotonic() > end:
                raise
        gc.collect()
        time.sleep(_RETRY_SECONDS)

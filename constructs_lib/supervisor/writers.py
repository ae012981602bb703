"""Tells whether a trainer writes to a run: RocksDB holds a lock on each of its stores as long, on whichever node."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from .files import NotPlainError, open_plain
from .hashes import runs_of
from .trash import KINDS

_FLOCK = "hhqqi"
"""`struct flock` of Linux on 64 bits (fcntl(2)): kind, whence, start, length, process."""


def has_writer(repository: Path, run: str) -> bool:
    """Whether a process has a run open for writing."""
    return any(_is_locked(repository / kind / "chunks" / run / "LOCK") for kind in KINDS)


def written_runs(repository: Path) -> list[str]:
    """Names of the runs that a process has open for writing; none where there is no repository."""
    runs = sorted(runs_of(repository)) if (repository / "meta/chunks").is_dir() else []
    return [run for run in runs if has_writer(repository, run)]


def _is_locked(path: Path) -> bool:
    """Whether the lock cannot be taken; it is not taken, as a trainer that begins in that moment would fail by it."""
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
            kind, *_ = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, wanted))
    except (FileNotFoundError, NotPlainError):
        return False
    except OSError:
        return True
    return bool(kind != fcntl.F_UNLCK)

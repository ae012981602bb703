"""Tells whether a trainer writes to a run: RocksDB holds a lock on each of its stores as long, on whichever node."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from .files import NotPlainError, open_plain
from .trash import KINDS


def has_writer(repository: Path, run: str) -> bool:
    """Whether a process has a run open for writing."""
    return any(_is_locked(repository / kind / "chunks" / run / "LOCK") for kind in KINDS)


def written_runs(repository: Path) -> list[str]:
    """Names of the runs that a process has open for writing; none where there is no repository."""
    folder = repository / "meta/chunks"
    runs = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [run for run in runs if has_writer(repository, run)]


def _is_locked(path: Path) -> bool:
    try:
        with os.fdopen(open_plain(path, os.O_RDWR), "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, NotPlainError):
        return False
    except OSError:
        return True
    return False

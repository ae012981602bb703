"""Opens databases of a repository that others have open: Aim's clients, the server, and chores."""

from __future__ import annotations

import sqlite3
from pathlib import Path

BUSY_SECONDS = 60
"""Whoever writes holds a database for milliseconds; on a slow NFS, for seconds."""


def uri_of(path: Path) -> str:
    """The URI of a database that is there: `rw` makes none, and lets SQLite roll back what a killed writer has left."""
    return f"{path.absolute().as_uri()}?mode=rw"


def open_database(path: Path) -> sqlite3.Connection:
    """Open a database that is there.

    Raises:
        sqlite3.Error: there is none, or nobody may open it.
    """
    return sqlite3.connect(uri_of(path), uri=True, timeout=BUSY_SECONDS)

"""Has Aim read its database of runs only when the database has changed.

Wrong in Aim 3.29: each search reads all rows, and so does a search that runs already, after any request of others.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

_PATIENCE_SECONDS = 0.1
"""For a commit of another process, before the database counts as changed; no request is answered meanwhile."""

_RUNS = "runs_cache"
"""Aim's name of the runs that it has read."""


def prepare_runs(repo: Any) -> None:
    """Have the runs of the database at hand, in the place of `Repo._prepare_runs_cache`, which reads them each time."""
    if not repo.is_remote_repo:
        repo.structured_db.init_cache(_RUNS, repo.structured_db.runs, lambda run: run.hash)
        repo.run_props_cache_hint = _RUNS


class RunsDatabase:
    """The database of runs, as one process of the web server reads it."""

    def __init__(self) -> None:
        self._database: Any = None
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None

    def refresh(self) -> None:
        """Have Aim read again what has been committed since the last call, by whichever connection."""
        if self._database is None:
            self._database = _aim_database()
        if self._database is None:
            return
        former, self._version = self._version, self._read_version()
        if self._version is None or self._version != former:
            for cache in self._database.caches.values():
                cache.empty_cache()
            # SQLAlchemy does not overwrite the values of rows that are in use, whatever it reads
            self._database.get_session().expire_all()

    def renew(self) -> None:
        """Have Aim connect anew, as it does after each request; call it while no request runs.

        A commit that fails, as on a full volume, leaves Aim's object unusable, and the database locked.
        """
        from aim.sdk.repo import Repo
        from aim.storage.structured.db import DB

        if self._database is not None:
            if self._database._session is not None:  # of the commit that failed
                self._database._session.close()
            self._database.session_cls.remove()
            self._database.engine.dispose()
        self._database = None
        for known in (DB._caches, DB._pool, Repo._pool):
            known.clear()

    def _read_version(self) -> int | None:
        """A number that the commits of other connections change; None where it cannot be read.

        Source: https://www.sqlite.org/pragma.html#pragma_data_version
        """
        try:
            if self._connection is None:
                uri = Path(self._database.path, self._database._DB_NAME).as_uri()
                self._connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=_PATIENCE_SECONDS)
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:  # somebody is writing, or the volume does not answer
            if self._connection:
                self._connection.close()
            self._connection = None
            return None


def _aim_database() -> Any:
    """Aim's database, which lives as long as it is kept: making it takes 10 ms; None without a repository."""
    from aim.web.api.projects.project import Project

    with contextlib.suppress(Exception):  # whatever it is, the endpoint meets it, and says so
        return Project().repo.structured_db
    return None

"""Makes Aim's web server bear thousands of runs.

Wrong in Aim 3.29:

* After any request, `ResourceCleanupMiddleware` closes what all requests have open, and forgets the runs that were read
  from the database. Searches that still run start over. Here each request has what it opened for itself, and runs are
  read again only when the database has changed.
* The first request of each page, `/api/projects/`, opens every run to see whether it can be read, and keeps all of them
  open. Here those are looked at that the indexer has not read.
* Memory that a search took is not given back to the system.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sqlite3
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from .searches import speed_up_searches

_IDLE_SECONDS = 1.0
"""Without a request; then memory is given back."""

_MOST_LOOKED_AT = 20
"""Runs that one request opens to see whether they can be read: while a repository is indexed, there are thousands."""

_PATIENCE_SECONDS = 0.1
"""For a commit of somebody else, before the database counts as changed; no request is answered meanwhile."""

_RUNS = "runs_cache"
"""Aim's name of the runs that it has read from the database."""


class _Pool(WeakValueDictionary[Any, Any]):
    """Aim's pool of open stores, which keeps the index open: Aim asks for it and drops it dozens of times a request."""

    index: Any = None

    def __setitem__(self, config: Any, store: Any) -> None:
        super().__setitem__(config, store)
        if config.sub is None:
            self.index = store


class _Opened:
    """What a request has opened, by the names of Aim's attributes."""

    def __init__(self) -> None:
        self.container_pool = _Pool()
        self.persistent_pool: dict[Any, Any] = {}


_request: ContextVar[_Opened | None] = ContextVar("request", default=None)


def speed_up_web() -> None:
    """Replace what makes the web server slow and large, in this process and those forked from it."""
    from aim.sdk.repo import Repo
    from aim.web.api.utils import ResourceCleanupMiddleware

    speed_up_searches()
    Repo.container_pool, Repo.persistent_pool = _of_request("container_pool"), _of_request("persistent_pool")
    ResourceCleanupMiddleware.__call__ = _serving(_Idleness(), _Database())
    Repo._prepare_runs_cache = _prepare_runs
    readability = _Readability()

    def list_corrupted_runs(repo: Any) -> list[str]:
        return readability.list_corrupted(repo)

    Repo.list_corrupted_runs = list_corrupted_runs


# --- what a request opens is its own ---


def _of_request(name: str) -> property:
    def get(repo: Any) -> Any:
        opened = _request.get()
        return getattr(opened, name) if opened else vars(repo)[name]

    def set_(repo: Any, pool: Any) -> None:
        vars(repo)[name] = pool

    return property(get, set_)


def _serving(idleness: _Idleness, database: _Database) -> Any:
    async def serve(middleware: Any, *connection: Any) -> None:
        opened = _Opened()
        former = _request.set(opened)
        idleness.end()
        try:
            database.look()
            await middleware.app(*connection)
        finally:
            _request.reset(former)
            idleness.begin(due=opened.container_pool.index is not None)
            opened.container_pool.index = None  # whatever still knows the pool

    return serve


class _Idleness:
    """Gives memory back when there has been no request for a moment."""

    def __init__(self) -> None:
        self._running = 0
        self._due = False
        self._timer: asyncio.TimerHandle | None = None
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)

    def end(self) -> None:
        """Note a request."""
        self._running += 1
        if self._timer:
            self._timer.cancel()

    def begin(self, *, due: bool) -> None:
        """Note the end of a request, and whether it had anything open that is worth the effort."""
        self._running -= 1
        self._due = self._due or due
        if self._due and not self._running:
            self._timer = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._tidy)

    def _tidy(self) -> None:
        from aim.storage.union import DB

        # caches that let go of an entry when they are asked for another one; each holds all runs open
        for cached in (getattr(DB.dbs, "fget", None), DB._list_dir):
            getattr(cached, "cache_clear", lambda: None)()
        self._due = False
        gc.collect()
        self._trim(0)


# --- runs of the database are read when it has changed ---


class _Database:
    """Has Aim read from the database again what somebody else has changed."""

    def __init__(self) -> None:
        self._database: Any = None
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None

    def look(self) -> None:
        """Forget what was read, where the database has changed since the last call."""
        if self._has_changed():
            for cache in self._database.caches.values():
                cache.empty_cache()
            # SQLAlchemy keeps the values of rows that are in use, whatever it reads
            self._database.get_session().expire_all()

    def _has_changed(self) -> bool:
        former = self._version
        try:
            # commits of other connections change it (https://www.sqlite.org/pragma.html#pragma_data_version)
            self._version = self._connected().execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:  # somebody is writing
            return self._database is not None
        return self._version != former

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            from aim.web.api.projects.project import Project

            self._database = Project().repo.structured_db  # kept: making it anew for each request takes 10 ms
            uri = Path(self._database.path, self._database._DB_NAME).as_uri()
            self._connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=_PATIENCE_SECONDS)
        return self._connection


def _prepare_runs(repo: Any) -> None:
    """Have the runs of the database at hand, in place of Aim's method, which reads them again each time."""
    if not repo.is_remote_repo:
        repo.structured_db.init_cache(_RUNS, repo.structured_db.runs, lambda run: run.hash)
        repo.run_props_cache_hint = _RUNS


# --- runs that cannot be read ---


class _Readability:
    """Knows runs that could be read, by the indexer or here."""

    def __init__(self) -> None:
        self._indexed: set[str] = set()
        self._seen: dict[str, tuple[int, bool]] = {}

    def list_corrupted(self, repo: Any) -> list[str]:
        """List runs that cannot be read, in place of Aim's method; what the indexer could read counts as readable."""
        chunks = Path(repo.path, "meta", "chunks")
        runs = {path.name for path in chunks.iterdir()} if chunks.exists() else set()
        self._indexed &= runs
        self._indexed |= _indexed_of(repo, runs - self._indexed)
        unknown = sorted(runs - self._indexed)
        self._seen = {run: self._seen[run] for run in unknown if run in self._seen}
        budget = iter(range(_MOST_LOOKED_AT))
        return [run for run in unknown if not self._can_be_read(chunks / run, budget)]

    def _can_be_read(self, run: Path, budget: Any) -> bool:
        try:
            changed = run.stat().st_mtime_ns
        except OSError:  # it has been deleted
            return True
        if self._seen.get(run.name, (0, True))[0] != changed:
            if next(budget, None) is None:
                return True
            self._seen[run.name] = (changed, _opens(run))
        return self._seen[run.name][1]


def _indexed_of(repo: Any, runs: set[str]) -> set[str]:
    from aim.storage.encoding import encode_path
    from aim.storage.union import RocksUnionContainer

    if not runs or not Path(repo.path, "meta", "index", "CURRENT").exists():
        return set()
    index = repo.request_container("meta", None, read_only=True)
    if isinstance(index, RocksUnionContainer):  # the index cannot be read, and this would open every run
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

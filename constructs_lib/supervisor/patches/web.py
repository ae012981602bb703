"""Makes Aim's web server bear thousands of runs (aimhubio/aim #1897, #2408, #3389).

Wrong in Aim 3.29:

* After any request, `ResourceCleanupMiddleware` closes the stores that all requests have open, and forgets the runs
  that were read from the database. Searches that still run in that worker start over. Here each request has its own
  stores, and Aim reads the runs again only when the database has changed (`runs_database`).
* A request opens the index anew for each kind of sequence and each type of value. Here it opens the index once.
* The first request of each page, `/api/projects/`, opens every run and keeps it open (`readable_runs`).
* The memory that a search has taken is not given back to the system.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from contextvars import ContextVar
from typing import Any
from weakref import WeakValueDictionary

from . import check_version
from .asgi import Receive, Scope, Send
from .costs import begin_search
from .readable_runs import ReadableRuns
from .runs_database import RunsDatabase, prepare_runs
from .searches import speed_up_searches

_IDLE_SECONDS = 1.0
"""Without a request; then memory is given back to the system."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class _Stores(WeakValueDictionary[Any, Any]):
    """Aim's pool of open stores, which keeps the index open: a request asks for it and drops it dozens of times."""

    index: Any = None

    def __setitem__(self, config: Any, store: Any) -> None:
        super().__setitem__(config, store)
        if config.sub is None:
            self.index = store


class _Opened:
    """What a request has opened, by the names of the attributes of Aim's `Repo`."""

    def __init__(self) -> None:
        self.container_pool = _Stores()
        self.persistent_pool: dict[Any, Any] = {}


_opened: ContextVar[_Opened | None] = ContextVar("opened", default=None)
"""By the request that runs; the threads and tasks in which Aim answers it inherit the context."""


def speed_up_web() -> None:
    """Replace what makes the web server slow and large, in this process and those forked from it."""
    check_version()
    from aim.sdk.repo import Repo
    from aim.web.api.utils import ResourceCleanupMiddleware

    speed_up_searches()
    requests, readable = _Requests(), ReadableRuns()
    Repo.container_pool, Repo.persistent_pool = _of_request("container_pool"), _of_request("persistent_pool")
    Repo._prepare_runs_cache = prepare_runs
    Repo.list_corrupted_runs = lambda repo: readable.list_corrupted(repo)  # noqa: PLW0108  # binds the repository
    ResourceCleanupMiddleware.__call__ = lambda middleware, *connection: requests.serve(middleware.app, *connection)


def _of_request(name: str) -> property:
    """An attribute of `Repo` that is another one in each request, and the object's own outside of requests."""

    def get(repo: Any) -> Any:
        opened = _opened.get()
        return getattr(opened, name) if opened else vars(repo)[name]

    def set_(repo: Any, pool: Any) -> None:
        vars(repo)[name] = pool

    return property(get, set_)


class _Requests:
    """The requests of the API that run in this process."""

    def __init__(self) -> None:
        self._database = RunsDatabase()
        self._running = 0
        self._is_suspect = self._is_large = False
        self._timer: asyncio.TimerHandle | None = None
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)

    async def serve(self, app: Any, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with stores of its own, in the place of Aim's middleware."""
        opened, is_answered = _Opened(), False
        former = _opened.set(opened)
        begin_search()
        self._begin()
        try:
            await app(scope, receive, send)
            is_answered = True
        finally:
            _opened.reset(former)
            self._is_suspect |= not is_answered or scope.get("method") not in _READING
            self._is_large |= opened.container_pool.index is not None
            opened.container_pool.index = None  # for whoever still knows the pool
            self._end()

    def _begin(self) -> None:
        self._running += 1
        if self._timer:
            self._timer.cancel()
        self._database.refresh()

    def _end(self) -> None:
        self._running -= 1
        if self._running:
            return
        if self._is_suspect:
            self._database.renew()
            self._is_suspect = False
        if self._is_large:
            self._timer = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._tidy)

    def _tidy(self) -> None:
        self._is_large = False
        gc.collect()
        self._trim(0)

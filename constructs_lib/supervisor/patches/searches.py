"""Speeds up searches of many runs (aimhubio/aim #2897, #3135, #3215); their answers stay the same, byte for byte.

Wrong in Aim 3.29:

* After each run a search sleeps for at least a millisecond (`turns`).
* A search of sequences looks at all runs that its query excludes without a pause; nobody else is answered meanwhile.
* Nothing else is done while RocksDB opens the store of a run, which takes longer than all the rest. Here threads open
  the stores of the next runs that are found, meanwhile, and close those of the runs before.
* Each run is sent as two messages, through gzip and a dozen layers. Here those of a moment go together.
* Each run that is read is noted among those to be closed when the process ends, though only one that is written needs
  to be. That takes a tenth of a search by a parameter.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, Callable

from .messages import speed_up_messages
from .remembered import KnownRun, KnownSeries, remember_runs, state_of_store
from .series import speed_up_series
from .turns import awaited, share_event_loop

_AHEAD = 4
"""Runs whose stores are opened ahead; all are open at the same time."""

_NICE = 5

_MOMENT_SECONDS = 0.05
_MOST_BYTES = 2**16
"""Messages are sent together for that long, or up to that size."""


def speed_up_searches() -> None:
    """Replace what makes searches slow, in this process and those forked from it."""
    from aim.sdk import run
    from aim.web.api.runs import object_api_utils, utils, views

    run.BasicRunAutoClean = _unless_read_only(run.BasicRunAutoClean)
    share_event_loop()
    speed_up_messages()
    speed_up_series()
    of_metrics, of_runs = utils.metric_search_result_streamer, utils.run_search_result_streamer
    of_objects = object_api_utils.CustomObjectApi
    remember_runs()
    views.metric_search_result_streamer = _together(
        lambda found, skip_system, points, x_axis, *rest: of_metrics(
            ReadAhead(every_run(found), points=None if x_axis else points), skip_system, points, x_axis, *rest
        )
    )
    views.run_search_result_streamer = _together(lambda found, *args: of_runs(_KnownRuns(found), *args))
    of_objects.search_result_streamer = _together(of_objects.search_result_streamer)


def _unless_read_only(cleanup: Callable[[Any], Any]) -> Callable[[Any], Any]:
    cleanup = getattr(cleanup, "__wrapped__", cleanup)

    def of_run(run: Any) -> Any:
        return None if run.read_only else cleanup(run)

    of_run.__wrapped__ = cleanup  # type: ignore[attr-defined]
    return of_run


def _together(streamer: Callable[..., AsyncIterator[bytes]]) -> Callable[..., AsyncIterator[bytes]]:
    streamer = getattr(streamer, "__wrapped__", streamer)

    @functools.wraps(streamer)
    async def stream(*arguments: Any) -> AsyncIterator[bytes]:
        waiting: list[bytes] = []
        sent, failure = -_MOMENT_SECONDS, None
        try:
            async for message in streamer(*arguments):
                waiting.append(message)
                if time.monotonic() - sent > _MOMENT_SECONDS or sum(map(len, waiting)) > _MOST_BYTES:
                    yield b"".join(waiting)
                    waiting.clear()
                    sent = time.monotonic()
        except Exception as error:  # noqa: BLE001  # raised after what was found before
            failure = error
        if waiting:
            yield b"".join(waiting)
        if failure:
            raise failure

    return stream


def every_run(search: Any) -> Iterator[tuple[Any, Any]]:
    """Do what `iter_runs` of Aim's `QuerySequenceCollection` does, but give None for a run that the query excludes."""
    from aim.sdk.query_analyzer import QueryExpressionTransformer
    from aim.sdk.query_utils import RunView
    from aim.sdk.sequence_collection import SingleRunSequenceCollection
    from aim.storage.query import RestrictedPythonQuery

    of_runs, is_of_runs = QueryExpressionTransformer(var_names=[search.seq_cls.sequence_name()]).transform(search.query)
    excluding = RestrictedPythonQuery(of_runs)
    more = {"runs_proxy_cache": search.runs_proxy_cache, "timezone_offset": search._timezone_offset}
    total = search.repo.total_runs_count()
    for number, run in enumerate(search.repo.iter_runs_from_cache(), 1):
        is_found = not is_of_runs or excluding.check(run=RunView(run, **more))
        found = SingleRunSequenceCollection(run, search.seq_cls, search.query, **more) if is_found else None
        yield found, (number, total)


class _KnownRuns:
    """A search of runs, each of which is read and encoded once."""

    def __init__(self, search: Any) -> None:
        self._search = search

    def iter_runs(self) -> Iterator[tuple[Any, Any]]:
        """Give each run that is found, and the progress."""
        for found, progress in self._search.iter_runs():
            yield (SimpleNamespace(run=KnownRun(found.run)) if found else None), progress


class ReadAhead:
    """A search of sequences that has the stores of the runs opened before it comes to them."""

    def __init__(self, runs: Iterator[tuple[Any, Any]], *, points: int | None = None) -> None:
        """Take what `every_run` gives, and how many points of a metric are asked for, where they may be known."""
        self._runs, self._points = runs, points

    def iter_runs(self) -> Iterator[tuple[Any, Any]]:
        """Give each run's sequences that are found, and the progress."""
        ahead: deque[tuple[_Found, Any]] = deque()
        failure = None
        try:
            for sequences, progress in self._runs:
                ahead.append((_Found(sequences, self._points), progress))
                if len(ahead) > _AHEAD:
                    yield from self._in_turn(*ahead.popleft())
        except Exception as error:  # noqa: BLE001  # raised when it is that run's turn
            failure = error
        while ahead:
            yield from self._in_turn(*ahead.popleft())
        if failure:
            raise failure

    @staticmethod
    def _in_turn(found: _Found, progress: Any) -> Iterator[tuple[Any, Any]]:
        awaited.set(found.store)
        yield found, progress
        found.close()


class _Found:
    """Sequences of a run that a search found.

    Attributes:
        run: Aim's; None for one that the query excludes.
        store: of its data, which a thread opens; None where nothing was found.
    """

    def __init__(self, sequences: Any, points: int | None = None) -> None:
        self.run: Any = sequences.run if sequences else None
        self._found = list(sequences.iter()) if sequences else []
        if points is not None and self._found:
            state = state_of_store(self.run, self._path())
            self._found = [KnownSeries(each, state, points) for each in self._found]
        is_known = points is not None and all(each.is_known() for each in self._found)
        self.store: Future[Any] | None = None
        if self._found and not is_known:
            self.store = _threads().submit(_open, self._path())

    def iter(self) -> Iterator[Any]:
        """Give the sequences, with the store of their data where Aim looks for it."""
        store = self.store.result() if self.store else None
        if store is not None:
            self.run.repo.container_pool[self._key()] = store
        return iter(self._found)

    def close(self) -> None:
        """Have a thread close the store: that takes a quarter of the time that opening it does."""
        if self.store:
            self.run.repo.container_pool.pop(self._key(), None)
            _threads().submit(_close, self.store)

    def _key(self) -> Any:
        from aim.sdk.repo import ContainerConfig

        return ContainerConfig("seqs", self.run.hash, True)

    def _path(self) -> str:
        return os.path.join(self.run.repo.path, "seqs", "chunks", self.run.hash)  # noqa: PTH118  # as Aim has it


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="open-stores", initializer=_stand_back)


def _stand_back() -> None:
    """Let the event loop go first, by a lower priority of this thread: a small call is answered by it."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)  # of a thread only, on Linux


def _open(path: str) -> Any:
    """Open the store of a run for reading; None where that fails, for Aim to say why."""
    from aim.storage.rockscontainer import RocksContainer

    try:
        return RocksContainer(path, read_only=True)
    except Exception:  # noqa: BLE001  # Aim opens it again
        return None


def _close(store: Future[Any]) -> None:
    if store.result() is not None:
        store.result().close()

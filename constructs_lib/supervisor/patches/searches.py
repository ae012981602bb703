"""Speeds up searches of many runs (aimhubio/aim #2897, #3135, #3215); their answers stay the same, byte for byte.

Wrong in Aim 3.29:

* After each run a search sleeps for at least a millisecond (`turns`).
* A search of sequences looks at all runs that its query excludes without a pause; nobody else is answered meanwhile.
* Nothing else is done while RocksDB opens the store of a run, which takes longer than all the rest. Here threads open
  the stores of the next runs that are found, meanwhile.
* Each run is sent as two messages, through gzip and a dozen layers. Here those of a moment go together.
"""

from __future__ import annotations

import functools
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable

from .turns import share_event_loop

_AHEAD = 4
"""Runs whose stores are opened ahead; all are open at the same time."""

_MOMENT_SECONDS = 0.05
_MOST_BYTES = 2**16
"""Messages are sent together for that long, or up to that size."""


def speed_up_searches() -> None:
    """Replace what makes searches slow, in this process and those forked from it."""
    from aim.web.api.runs import object_api_utils, utils, views

    share_event_loop()
    of_metrics, of_objects = utils.metric_search_result_streamer, object_api_utils.CustomObjectApi
    views.metric_search_result_streamer = _together(lambda found, *args: of_metrics(ReadAhead(every_run(found)), *args))
    views.run_search_result_streamer = _together(utils.run_search_result_streamer)
    of_objects.search_result_streamer = _together(of_objects.search_result_streamer)


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


class ReadAhead:
    """A search of sequences that has the stores of the runs opened before it comes to them."""

    def __init__(self, runs: Iterator[tuple[Any, Any]]) -> None:
        """Take what `every_run` gives."""
        self._runs = runs

    def iter_runs(self) -> Iterator[tuple[Any, Any]]:
        """Give each run's sequences that are found, and the progress."""
        ahead: deque[tuple[_Found, Any]] = deque()
        failure = None
        try:
            for sequences, progress in self._runs:
                ahead.append((_Found(sequences), progress))
                if len(ahead) > _AHEAD:
                    yield ahead.popleft()
        except Exception as error:  # noqa: BLE001  # raised when it is that run's turn
            failure = error
        while ahead:
            yield ahead.popleft()
        if failure:
            raise failure


class _Found:
    """Sequences of a run that a search found.

    Attributes:
        run: Aim's; None for one that the query excludes.
    """

    def __init__(self, sequences: Any) -> None:
        self.run: Any = sequences.run if sequences else None
        self._found = list(sequences.iter()) if sequences else []
        self._store: Any = _opener().submit(_open, self._path()) if self._found else None

    def iter(self) -> Iterator[Any]:
        """Give the sequences, with the store of their data where Aim looks for it."""
        from aim.sdk.repo import ContainerConfig

        if isinstance(self._store, Future):
            self._store = self._store.result()
        if self._store is not None:
            self.run.repo.container_pool[ContainerConfig("seqs", self.run.hash, True)] = self._store
        return iter(self._found)

    def _path(self) -> str:
        return os.path.join(self.run.repo.path, "seqs", "chunks", self.run.hash)  # noqa: PTH118  # as Aim has it


@functools.cache
def _opener() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="open-stores")


def _open(path: str) -> Any:
    """Open the store of a run for reading; None where that fails, for Aim to say why."""
    from aim.storage.rockscontainer import RocksContainer

    try:
        return RocksContainer(path, read_only=True)
    except Exception:  # noqa: BLE001  # Aim opens it again
        return None

"""Remembers what a worker has read of runs that have not changed, within bounds.

Wrong in Aim 3.29: whoever looks at thousands of runs asks for all of them again and again, with every change of a query
and every few seconds where the page is live; and all is read and encoded again. The store of a run is worst: Aim
deletes a range before each value that it writes, so it has more deletions than values, and RocksDB goes through all of
them each time that it opens the store.

Here a worker keeps the encoded parameters and metrics of a run until the checksum in the index is another one, and
values of metrics until the folder of the run is changed. A run that is being written, or was a minute ago, is read.
"""

from __future__ import annotations

import random
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Callable

from .messages import Part

_MOST_BYTES = 12 * 2**20
"""Of each of the two kinds, in each worker; all parameters of some 2,500 runs."""

_OVERHEAD, _ARRAY_OVERHEAD = 500, 112
"""Bytes of an entry and of an array, besides what is in it."""

_SETTLED_SECONDS = 60
"""An NFS client sees a change of a folder as late as that."""


class Remembered:
    """Values by key, each with the state of what it was read from; any of them goes when there is no room."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most, self._bytes = most_bytes, 0
        self._entries: dict[Hashable, tuple[Hashable, Any, int]] = {}
        self._keys: list[Hashable] = []
        self._dice = random.Random(0)

    def get(self, key: Hashable, state: Hashable) -> Any:
        """The value, or None where it is not known or was read in another state."""
        known = self._entries.get(key)
        return known[1] if known and known[0] == state else None

    def put(self, key: Hashable, state: Hashable, value: Any, size: int) -> None:
        """Keep a value of so many bytes.

        Of those before it, none is preferred: searches go round all runs, and the oldest would be needed next.
        """
        known = self._entries.get(key)
        if not known:
            self._keys.append(key)
        self._bytes += size + _OVERHEAD - (known[2] if known else 0)
        self._entries[key] = state, value, size + _OVERHEAD
        while self._bytes > self._most:
            self._drop(self._dice.randrange(len(self._keys)))

    def _drop(self, place: int) -> None:
        self._keys[place], self._keys[-1] = self._keys[-1], self._keys[place]
        self._bytes -= self._entries.pop(self._keys.pop())[2]


def remember_runs() -> None:
    """Replace how searches read the parameters of a run, in this process and those forked from it."""
    from aim.web.api.runs import utils

    utils.get_run_params = _remembered_parameters(utils.get_run_params)
    utils.get_run_props = _remembered_properties(utils.get_run_props)


def _remembered_parameters(of_run: Callable[..., Any]) -> Callable[..., Part]:
    of_run = getattr(of_run, "__wrapped__", of_run)

    def remembered(run: Any, *, skip_system: bool) -> Part:
        return _part(run, ("params", skip_system), lambda: of_run(run, skip_system=skip_system))

    remembered.__wrapped__ = of_run  # type: ignore[attr-defined]
    return remembered


def _remembered_properties(of_run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Name, tags, times and the rest; its row of the database is another object once the database has changed."""
    of_run = getattr(of_run, "__wrapped__", of_run)

    def remembered(run: Any) -> Any:
        if not isinstance(run, KnownRun):
            return of_run(run)
        state = None if run.state is None else (run.state, run.props)
        return Part(_encoded, (run.hash, "props"), state, lambda: of_run(run))

    remembered.__wrapped__ = of_run  # type: ignore[attr-defined]
    return remembered


class KnownRun:
    """A run of Aim's that is looked up in the index once.

    Attributes:
        run: Aim's.
        state: see `_state_in_index`.
    """

    def __init__(self, run: Any) -> None:
        self.run, self.state = run, _state_in_index(run)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.run, name)

    def collect_sequence_info(self, sequence_types: str) -> Part:
        """Names, contexts and last values of metrics, to be encoded."""
        listed = self.run.collect_sequence_info
        return _part(self, ("traces", sequence_types), lambda: listed(sequence_types=sequence_types))


_encoded, _values = Remembered(), Remembered()


def _part(run: Any, name: tuple[Any, ...], read: Callable[[], Any]) -> Part:
    """A part of the answer for a run, whose bytes are kept."""
    state = run.state if isinstance(run, KnownRun) else _state_in_index(run)
    return Part(_encoded, (run.hash, *name), state, read)


def _state_in_index(run: Any) -> bytes | None:
    """Checksum of the run as it was indexed; None without an index, or for one that is not in it."""
    from aim.storage.encoding import encode_path
    from aim.storage.rockscontainer import RocksContainer

    index = run.repo.request_container("meta", None, read_only=True)
    if not isinstance(index, RocksContainer):
        return None
    found: bytes | None = index.get(encode_path(("index_cache", run.hash)))
    return found


def state_of_store(run: Any, path: str) -> int | None:
    """What changes with the folder of a run's values; None while the run is written, and for a minute after."""
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError:
        return None
    is_settled = time.time() - changed / 1e9 > _SETTLED_SECONDS
    return changed if is_settled and run.end_time else None


class KnownSeries:
    """A metric that a search has found, whose values are read once; has of Aim's what the search asks it for."""

    def __init__(self, sequence: Any, state: int | None, points: int) -> None:
        self.name, self.context = sequence.name, sequence.context
        self._sequence, self._state, self._points = sequence, state, points
        self._key = (sequence.run.hash, sequence.context.idx, sequence.name, points)

    @property
    def data(self) -> KnownSeries:
        """Itself."""
        return self

    def sample(self, _points: int) -> KnownSeries:
        """Itself: a search has one number of points."""
        return self

    def is_known(self) -> bool:
        """Whether its values need not be read."""
        return self._state is not None and _values.get(self._key, self._state) is not None

    def numpy(self) -> Any:
        """Steps and columns, as arrays that nobody changes."""
        known = _values.get(self._key, self._state) if self._state is not None else None
        if known is None:
            known = steps, columns = self._sequence.data.sample(self._points).numpy()
            if self._state is not None:
                size = sum(array.nbytes + _ARRAY_OVERHEAD for array in (steps, *columns))
                _values.put(self._key, self._state, known, size)
        return known

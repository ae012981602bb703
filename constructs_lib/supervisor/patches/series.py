"""Reads the values of metrics without decoding a tree of each series; they stay the same.

Wrong in Aim 3.29: a series is stored as a list, a key for each value. It is read by what decodes any tree: eight layers
a value, and a search of metrics reads hundreds of values of each run. Here a value whose key is an index of the series
is decoded at once; from the first one on that is something else, Aim reads the rest.

A series without a whole point ends the answer to a search, whoever asks: a trainer was killed in the first point, or a
copy was made of the run in that moment.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import islice
from typing import Any, Callable

_KEY_BYTES = 10
"""Of an index: a mark, eight bytes, and the mark again."""

_MARK = 0xFE
_OTHER = object()


def speed_up_series() -> None:
    """Replace how the values of metrics are read, in this process and those forked from it."""
    from aim.sdk.sequence import SequenceV2Data

    of_tree = SequenceV2Data.__base__._get_array
    SequenceV2Data._get_array = lambda data, *column, **options: _Series(of_tree(data, *column, **options))
    SequenceV2Data.numpy = _also_without_points(SequenceV2Data.numpy)


def _also_without_points(numpy: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Aim asks for the last step of a sample, where the parameters say that there is one."""

    @functools.wraps(numpy)
    def read(data: Any) -> Any:
        try:
            return numpy(data)
        except IndexError:
            return numpy(type(data)(data.meta_tree, data.series_tree, columns=data.columns))

    return read


class _Series:
    """An array of Aim's, whose class cannot be changed."""

    def __init__(self, of_tree: Any) -> None:
        self._of_tree = of_tree

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of_tree, name)

    def __getitem__(self, index: Any) -> Any:
        return self._of_tree[index]

    def __bool__(self) -> bool:
        return bool(self._of_tree)  # not by its length, which an index that is a hash makes negative

    def __len__(self) -> int:
        return len(self._of_tree)

    def __iter__(self) -> Iterator[Any]:
        return self.values()

    def values(self) -> Iterator[Any]:
        """Give the values in the order of their indices."""
        for given, value in enumerate(_numbers(self._of_tree.tree)):
            if value is _OTHER:
                yield from islice(self._of_tree.values(), given, None)
                return
            yield value


def _numbers(tree: Any) -> Iterator[Any]:
    """Give the numbers of a series, and then `_OTHER` where it has something else."""
    containers, nodes, plain, decode = _known()
    view: Any = getattr(tree, "container", None)
    if (type(view), type(getattr(view, "parent", None))) != containers:
        yield _OTHER  # of the index, or of a client of the tracking server
        return
    prefix, length = view.prefix, len(view.prefix)
    items = view.parent.db.iteritems()
    items.seek(prefix)
    for number, (key, value) in enumerate(items):
        if not key.startswith(prefix):
            return
        if number == 0 and len(key) == length and value in nodes:
            continue
        is_index = len(key) == length + _KEY_BYTES and key[length] == key[-1] == _MARK
        if not is_index or number == 0 or value[:1] not in plain:
            yield _OTHER
            return
        yield decode(value)


@functools.cache
def _known() -> tuple[Any, frozenset[bytes], frozenset[bytes], Callable[[bytes], Any]]:
    """The types of a stored series' container, Aim's marks of a list, first bytes of numbers, and what decodes them."""
    from aim.storage.encoding import decode, encode
    from aim.storage.prefixview import PrefixView
    from aim.storage.rockscontainer import RocksContainer
    from aim.storage.utils import ArrayFlag, ObjectFlag

    nodes = frozenset((encode(ArrayFlag), encode(ObjectFlag)))
    return (PrefixView, RocksContainer), nodes, frozenset((encode(1)[:1], encode(1.0)[:1])), decode

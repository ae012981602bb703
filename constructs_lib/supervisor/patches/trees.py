"""Bounds what it costs to decode a tree: that of a run, and that of a request to the tracking server.

Wrong in Aim 3.29: a list is filled up to its largest index, so one stored value at the index 10**9 of an empty list
takes all memory of whoever reads the run, and each listing of runs reads it. A path costs the square of its length. A
value below a number, a text or a key that is no index ends the listing with an error. A request is decoded before
anybody looks at it, and unpacked in time that grows with the square of its size.

Here such a value of a run is left out, so that its run and all others are listed without it; a request with one is
refused. Trees of Aim's own client have none: its lists are dense.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Iterator
from typing import Any, Callable

from .refusals import Refusals

Pair = tuple[bytes, Any]
"""Encoded path and value of a node, as Aim stores and sends it; the value is bytes, or a BLOB of Aim's."""

_DEEPEST_STORED = 100
DEEPEST_SENT = 50
"""Keys in a path: one that was sent is the path of a value and a path in the value, and both together can be read."""

_HOLES = 1000
"""Places of lists that a stored tree may fill with None, in all: a user may delete elements of a list."""

_LENGTH = struct.Struct("I")

_INDEX_BYTES = 10
_INDICES = {b"\xfe%b\xfe" % number.to_bytes(8, "big"): number for number in range(256)}
"""The first indices of lists, by keys as Aim encodes them: to decode a key takes longer than all else that is done."""

_LEFT_OUT = Refusals("reader of runs")


class UnboundedError(Exception):
    """A tree has a value that is refused."""


def bound_stored_trees() -> None:
    """Leave out what costs too much, in each tree that is read afterwards, in this process and those forked from it."""
    from aim.storage import treeutils

    treeutils.decode_tree = _on_bounded(treeutils.decode_tree)
    treeutils.iter_decode_tree = _on_bounded(treeutils.iter_decode_tree)


def _on_bounded(decode: Callable[..., Any]) -> Callable[..., Any]:
    decode = getattr(decode, "__wrapped__", decode)

    @functools.wraps(decode)
    def bounded(pairs: Iterable[Pair], **options: Any) -> Any:
        # without `strict`, Aim makes mappings of all nodes; at the top, it does where it skips that
        walk = _Walk(lists=options.get("strict", True), top_list=not options.get("skip_top_level"))
        return decode(walk.bounded(pairs), **options)

    return bounded


def decode_request(pairs: Iterable[Pair]) -> Any:
    """Decode the arguments of a request.

    Raises:
        UnboundedError: a path is too long, or a value has no place.
    """
    from aim.storage import treeutils

    decode = getattr(treeutils.decode_tree, "__wrapped__", treeutils.decode_tree)
    return decode(_Walk(deepest=DEEPEST_SENT, holes=0, refuse=_raise).bounded(pairs))


def _raise(_: str, reason: str) -> None:
    raise UnboundedError(reason)


class _Walk:
    """Goes through the nodes of one tree; what is within a list or a value follows it."""

    def __init__(
        self,
        *,
        lists: bool = True,
        top_list: bool = True,
        deepest: int = _DEEPEST_STORED,
        holes: int = _HOLES,
        refuse: Callable[[str, str], None] = _LEFT_OUT.note,
    ) -> None:
        self._array, self._nodes, self._decode_path = _encoded()
        self._lists, self._top_list, self._deepest, self._holes = lists, top_list, deepest, holes
        self._refuse = refuse
        self._open: list[tuple[bytes, int]] = []

    def bounded(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Pass on what is within bounds; all that is read of a run passes here, so a value calls no function."""
        deepest, array, nodes, open_lists = self._deepest, self._array, self._nodes, self._open
        leaf: bytes | None = None
        for path, value in pairs:
            # a key takes a byte at least: most paths are known to be short without a look at their keys
            if len(path) > deepest and len(self._decode_path(path)) > deepest:
                self._refuse("depth", f"a path of more than {deepest} keys")
            elif not self._lists:
                yield path, value
            elif leaf is not None and path.startswith(leaf) and path != leaf:
                self._refuse("place", "a value below one that is neither list nor mapping")
            elif not open_lists or self._has_place(path):
                kind = value[:1] if isinstance(value, bytes) else b""  # a BLOB would be read
                leaf = None if kind in nodes else path
                if kind == array and value == array and (path or self._top_list):
                    open_lists.append((path, 0))
                yield path, value

    def _has_place(self, path: bytes) -> bool:
        """Whether a path leads into no list, or to the last place of the innermost one, or to the next one."""
        lists = self._open
        while lists:
            above, length = lists[-1]
            if path.startswith(above) and path != above:
                index = _INDICES.get(path[len(above) : len(above) + _INDEX_BYTES])
                if index == length:
                    lists[-1] = above, length + 1
                return index in (length, length - 1) or self._has_index(path)
            lists.pop()
        return True

    def _has_index(self, path: bytes) -> bool:
        """Whether the key of a path in the innermost list is an index that the list has, or may be filled up to."""
        above, length = self._open[-1]
        index = self._decode_path(path[len(above) :])[0]
        if not isinstance(index, int) or index < 0 or index - length > self._holes:
            self._refuse("index", f"the index {str(index)[:40]!r} of a list of {length}")
            return False
        self._holes -= max(0, index - length)
        self._open[-1] = above, max(length, index + 1)
        return True


@functools.cache
def _encoded() -> tuple[bytes, frozenset[bytes], Callable[[bytes], Any]]:
    """A list as Aim encodes it, the first bytes of all that has nodes below it, and what decodes a path."""
    from aim.storage.encoding import decode_path, encode
    from aim.storage.utils import ArrayFlag, CustomObjectFlagType, ObjectFlag

    nodes = frozenset(encode(flag)[:1] for flag in (ArrayFlag, ObjectFlag, CustomObjectFlagType("")))
    return encode(ArrayFlag), nodes, decode_path


def unpack(packed: bytes) -> Iterator[Pair]:
    """Unpack the nodes of a request, in the place of Aim's `unpack_args`, which copies the rest for each of them.

    Raises:
        UnboundedError: the request ends within a node.
    """
    from aim.storage.types import BLOB

    position, end, length_at = 0, len(packed), _LENGTH.unpack_from
    try:
        while position < end:
            key_end = position + 4 + length_at(packed, position)[0]
            key, is_blob = packed[position + 4 : key_end], packed[key_end : key_end + 1] == b"\1"
            start = key_end + 5
            position = start + length_at(packed, key_end + 1)[0]
            if position > end:
                break
            yield key, BLOB(data=packed[start:position]) if is_blob else packed[start:position]
    except struct.error:
        position = end + 1
    if position > end:
        raise UnboundedError("a request that ends within a value")

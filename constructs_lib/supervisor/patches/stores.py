"""Opens the stores of runs without starting threads for it.

Wrong in Aim 3.29: RocksDB starts fifteen threads each time that a store is opened, to open its tables in parallel, and
ends them (its option `max_file_opening_threads`, of which `aimrocks` knows nothing). The store of a run has one table,
or a few: the threads take longer than the rest, and a pod that indexes thousands of runs meets its limit of processes.

Done here: the option is set by RocksDB's own interface for C, which is in the library that `aimrocks` brings. Where its
object does not look as it does in the release that Aim 3.29 asks for, nothing is changed.
Source: https://github.com/facebook/rocksdb/blob/v6.29.5/include/rocksdb/c.h
"""

from __future__ import annotations

import ctypes
import functools
from importlib import metadata
from pathlib import Path
from typing import Any, Callable

from . import check_version

_RELEASE, _SIZE = "0.5.2", 88
"""Of `aimrocks`; and bytes of its object for options, whose last pointer but one leads to RocksDB's."""

_THREADS, _FILES = 16, 4711
"""RocksDB's default of what is changed here, and a value by which its options are recognized."""


def open_stores_in_one_thread() -> None:
    """Replace aimrocks' options, in this process and those forked from it."""
    check_version()
    import aimrocks

    change = _changer()
    options = getattr(aimrocks.Options, "__wrapped__", aimrocks.Options)
    if change is None:
        return

    @functools.wraps(options, updated=())
    def in_one_thread(**values: Any) -> Any:
        made = options(**values)
        change(_address(made), 1)
        return made

    aimrocks.Options = in_one_thread


def _changer() -> Callable[[int, int], None] | None:
    """RocksDB's function that sets how many threads open files; None where it would meet something else."""
    import aimrocks

    options = getattr(aimrocks.Options, "__wrapped__", aimrocks.Options)
    if metadata.version("aimrocks") != _RELEASE or options.__basicsize__ != _SIZE:
        return None
    library = ctypes.CDLL(str(Path(aimrocks.__file__).with_name("librocksdb.so")))
    change, threads, files = (
        getattr(library, f"rocksdb_options_{name}")
        for name in ("set_max_file_opening_threads", "get_max_file_opening_threads", "get_max_open_files")
    )
    threads.argtypes = files.argtypes = [ctypes.c_void_p]
    change.argtypes, change.restype = [ctypes.c_void_p, ctypes.c_int], None
    probe = options(max_open_files=_FILES)
    known = (threads(_address(probe)), files(_address(probe))) == (_THREADS, _FILES)
    return change if known else None


def _address(options: Any) -> int:
    """Where RocksDB's options are, of an object of aimrocks."""
    words = (ctypes.c_size_t * (_SIZE // ctypes.sizeof(ctypes.c_size_t))).from_address(id(options))
    return words[-2]

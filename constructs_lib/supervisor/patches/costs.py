"""Bounds what a query costs: a worker answers nobody else while it evaluates one.

Each evaluation has steps and CPU seconds, and so has the whole search. Every value that a query makes is charged by its
size: no operation can then be given much more than an evaluation could make.
"""

from __future__ import annotations

import operator
import re
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Callable

_STEPS = 100_000
"""Of an evaluation: items that loops go over, and items, characters and digits of values that it makes."""

_CHARACTERS, _DIGITS = 16, 8
"""Characters of a text, and bits of an integer, that are charged as one step: integers of many bits can be made to have
the same hash, and a set of them takes the square of their number."""

_SECONDS = 0.5
"""CPU time of an evaluation; those that people write take some 0.00002."""

_UNCHECKED = 32
"""Values that are made between two looks at the clock."""

_SEARCH_SECONDS = 60.0
"""For all evaluations of one search; those of a usual query take some tenths of a second for thousands of runs."""

_LONGEST = 10_000
"""Characters or items that one operation may repeat or pad to."""

_LONGEST_FORMAT = 200
"""Characters of a format of dates."""

_PRODUCT = 10**8
"""Of the lengths of a text and of what is looked for in it: Python before 3.10 takes as long as that."""

_BITS = 10_000
"""Of an integer that is written, multiplied, raised or shifted."""

_MODULAR_BITS, _MODULAR_STEPS = 1_000, 10_000
"""Of the integers of `pow(base, exp, mod)`, which takes some 10 ms then; and its charge."""

_budget = threading.local()
_spent: ContextVar[list[float] | None] = ContextVar("spent", default=None)
"""Seconds of the request that this context belongs to."""


class RefusedError(Exception):
    """A query reads, calls or costs more than a query may."""


class TooCostlyError(Exception):
    """A search has cost more than a search may, and ends: to go on without a part of the runs would hide them."""


def begin_search() -> None:
    """Give the request that begins in this context all its seconds."""
    _spent.set([0.0])


def begin_evaluation() -> float:
    """Give the evaluation that begins in this thread all its steps; returns what `end_evaluation` takes.

    Raises:
        TooCostlyError: the search that it is part of has no time left.
    """
    spent = _spent.get()
    if spent and spent[0] > _SEARCH_SECONDS:
        raise TooCostlyError(f"a search may evaluate its query for {_SEARCH_SECONDS:.0f} s")
    _budget.left, _budget.until, _budget.unchecked = _STEPS, None, _UNCHECKED
    return time.monotonic()  # a thread's own time takes fifteen times as long to ask for


def end_evaluation(begin: float) -> None:
    """Count the time of an evaluation for the search that it is part of."""
    spent = _spent.get()
    if spent:
        spent[0] += time.monotonic() - begin


def built(value: Any) -> Any:
    """Charge for a value that a query has made, and return it."""
    _spend(0 if value is True or value is False else _size(value))
    return value


def _spend(steps: int) -> None:
    _budget.left -= steps
    _budget.unchecked -= 1
    if _budget.left < 0:
        raise RefusedError(f"a query has at most {_STEPS} steps a run")
    if _budget.unchecked < 0:
        _budget.unchecked, now = _UNCHECKED, time.thread_time()
        _budget.until = _budget.until or now + _SECONDS  # most evaluations end before the first look
        if now > _budget.until:
            raise RefusedError(f"a query has at most {_SECONDS} s of CPU time a run")


def _size(value: Any) -> int:
    """Count the steps that a value is charged; once they are too many, it stops."""
    size, waiting = 1, [value]
    while waiting and size <= _STEPS:
        each = waiting.pop()
        if isinstance(each, (str, bytes)):
            size += len(each) // _CHARACTERS
        elif isinstance(each, int):
            size += _bits(each) // _DIGITS
        elif isinstance(each, range):
            waiting += each.start, each.stop, each.step
        elif isinstance(each, (list, tuple, set, frozenset, dict)):
            size += len(each)
            waiting += each
            waiting += each.values() if isinstance(each, dict) else ()
    return size


def iterate(things: Any) -> Iterator[Any]:
    """Iterate, a step an item."""
    for thing in things:
        _spend(1)
        yield thing


def multiply(left: Any, right: Any) -> Any:
    """Multiply, or repeat."""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, (str, bytes, list, tuple)) and isinstance(other, int):
            check_size(len(one) * other)
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(_bits(left) + _bits(right))
    return left * right


def power(base: Any, exp: Any, mod: Any = None) -> Any:
    """Raise to a power, as `pow` does."""
    if mod is not None:
        _check_bits(max(map(_bits, (base, exp, mod))), most=_MODULAR_BITS)
        _spend(_MODULAR_STEPS)
    elif isinstance(base, int) and isinstance(exp, int):
        _check_bits((_bits(base) - 1) * exp)
    return pow(base, exp, mod)


def shift(left: Any, right: Any) -> Any:
    """Shift to the left."""
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(_bits(left) + right)
    return operator.lshift(left, right)


def modulo(left: Any, right: Any) -> Any:
    """Divide with a remainder, or format."""
    if isinstance(left, (str, bytes)):
        check_width(str(left))
        _spend(str(left).count("%") * _size(right))
    return left % right


def contains(thing: Any, things: Any) -> bool:
    """Whether something is in others, or a text in another one."""
    if isinstance(thing, str) and isinstance(things, str):
        _check_search(things, thing)
    return thing in things


def rounded(number: Any, ndigits: Any = None) -> Any:
    """Round, as `round` does: that of an integer to minus a billion digits raises ten to that."""
    if isinstance(ndigits, int):
        check_size(abs(ndigits))
    return round(number, ndigits)


def check_width(template: str) -> None:
    """Refuse a format that pads to thousands of characters, or to as many as a value says."""
    if re.search(r"\*|\d{4}", template):
        raise RefusedError("a query formats to at most 999 characters, and to a fixed number of them")


def _bits(number: int) -> int:
    return int(number).bit_length()  # of one that Aim reads when it is asked, too


def check_literal(value: object) -> None:
    """Refuse an integer that is too long."""
    if isinstance(value, int):
        _check_bits(_bits(value))


def _check_bits(count: int, *, most: int = _BITS) -> None:
    if count > most:
        raise RefusedError(f"a query has integers of at most {most} bits")


def check_size(count: int, *, most: int = _LONGEST) -> None:
    """Refuse a value that is too long."""
    if count > most:
        raise RefusedError(f"a query makes values of at most {most} characters or items")


def _check_search(text: str, part: str) -> None:
    if len(text) * len(part) > _PRODUCT:
        raise RefusedError(f"a query looks for {len(part)} characters in {len(text)}: it would take too long")


def _looking(text: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def look(*arguments: Any) -> Any:
        for part in arguments:
            if isinstance(part, str):
                _check_search(text, part)
        return method(*arguments)

    return look


def _formatted(_date: Any, method: Callable[..., str]) -> Callable[..., str]:
    def formatted(template: str) -> str:
        check_size(len(template), most=_LONGEST_FORMAT)
        if re.search(r"%[^%a-zA-Z]*\d\d", template):
            raise RefusedError("a query formats dates without widths")
        return method(template)

    return formatted


def _listed(_known: Any, method: Callable[[], Any]) -> Callable[[], list[Any]]:
    return lambda: list(method())


def _padded(_text: str, method: Callable[..., str]) -> Callable[..., str]:
    def pad(width: int, *fill: str) -> str:
        check_size(width)
        return method(width, *fill)

    return pad


def _joined(text: str, method: Callable[..., str]) -> Callable[..., str]:
    def join(parts: Any) -> str:
        known = list(iterate(parts))
        check_size(sum(len(part) + len(text) for part in known))
        return method(known)

    return join


def _replaced(text: str, method: Callable[..., str]) -> Callable[..., str]:
    def replace(old: str, new: str, *count: int) -> str:
        _check_search(text, old)
        check_size(text.count(old) * len(new))
        return method(old, new, *count)

    return replace


_SEARCHES = "count find index lstrip partition rfind rindex rpartition rsplit rstrip split strip"

Bound = Callable[[Any, Callable[..., Any]], Callable[..., Any]]

OF_TEXT: dict[str, Bound] = {
    "center": _padded,
    "ljust": _padded,
    "rjust": _padded,
    "zfill": _padded,
    "join": _joined,
    "replace": _replaced,
    **dict.fromkeys(_SEARCHES.split(), _looking),
}
"""Methods of text whose result or time can be many times that of what they are given, and what bounds them."""

OF_DATES: dict[str, Bound] = {"strftime": _formatted}
"""The same of dates and times: a directive may be as wide as it says."""

OF_MAPPINGS: dict[str, Bound] = dict.fromkeys(("items", "keys", "values"), _listed)
"""The same of mappings: a list is charged, and a view of one that is in another is walked again for each."""

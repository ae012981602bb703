"""Declared types, as checks of values: what mypy would refuse, an `OptionError` refuses at run time.

Python's own errors come late and name no option: a text is a sequence of letters, and any object is true.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotated_types import Interval

from constructs_lib.errors import OptionError, kind_of

Parts = Iterator[tuple[str, Any, "_Kind"]]


def check_type(option: str, value: object, hint: object) -> None:
    """Reject a value that is not of a declared type, as is each entry of a list or mapping.

    Args:
        option: that it was given by.
        value: to check.
        hint: the type, as an annotation says it, with bounds where it has some.

    Raises:
        OptionError: names the option, and for a value that may be a secret only the value's type.
    """
    _check(option, value, _kind(hint))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A declared type.

    Attributes:
        words: what to write.
        fits: whether a value is of the type; its entries are not looked at.
        parts: entries of a value, each with its option and its own type.
        plain: whether it has numbers and texts only, and no objects.
        secret: whether its objects only name a secret, so that a text in their place may be that.
    """

    words: str
    fits: Callable[[Any], bool]
    parts: Callable[[str, Any], Parts] = lambda _option, _value: iter(())
    plain: bool = True
    secret: bool = False


def _check(option: str, value: Any, kind: _Kind) -> None:
    if not kind.fits(value):
        raise OptionError(option, _shown(value, kind), f"write {kind.words}")
    for name, part, inner in kind.parts(option, value):
        _check(name, part, inner)


def _shown(value: Any, kind: _Kind) -> object:
    if kind.plain or isinstance(value, (int, float, type(None))):
        return value
    return "***" if kind.secret and isinstance(value, (str, bytes)) else kind_of(value)


@functools.cache
def _kind(hint: Any) -> _Kind:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _bounded(arguments[0], *arguments[1:])
    if origin in (typing.Union, types.UnionType):
        return _union([_kind(each) for each in arguments if each is not type(None)], none=type(None) in arguments)
    if origin is typing.Literal:
        return _Kind(words=" or ".join(arguments), fits=lambda value: isinstance(value, str) and value in arguments)
    if origin is Sequence:
        return _sequence(_kind(arguments[0]))
    return _mapping(_kind(arguments[1])) if origin is Mapping else _class(hint)


def _bounded(hint: Any, *notes: object) -> _Kind:
    bounds = next((note for note in notes if isinstance(note, Interval)), None)
    if bounds is None:
        return _kind(hint)
    low, high = int(str(bounds.ge)), int(str(bounds.le))
    return _Kind(
        words=f"a whole number from {low} to {high}",
        fits=lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
    )


def _union(kinds: Sequence[_Kind], *, none: bool) -> _Kind:
    def parts(option: str, value: Any) -> Parts:
        fitting = next((kind for kind in kinds if kind.fits(value)), None)
        return fitting.parts(option, value) if fitting else iter(())

    return _Kind(
        words=" or ".join(dict.fromkeys(kind.words for kind in kinds)),
        fits=lambda value: (none and value is None) or any(kind.fits(value) for kind in kinds),
        parts=parts,
        plain=any(kind.plain for kind in kinds),
        secret=any(kind.secret for kind in kinds),
    )


def _sequence(inner: _Kind) -> _Kind:
    return _Kind(
        words=f"a list, each entry {inner.words}",
        fits=lambda value: isinstance(value, Sequence) and not isinstance(value, (str, bytes)),
        parts=lambda option, value: ((f"{option}[{index}]", each, inner) for index, each in enumerate(value)),
        plain=inner.plain,
        secret=inner.secret,
    )


def _mapping(inner: _Kind) -> _Kind:
    def parts(option: str, value: Mapping[Any, Any]) -> Parts:
        for key, each in value.items():
            yield f"{option}[{key}]", key, _kind(str)
            yield f"{option}[{key}]", each, inner

    return _Kind(words="a mapping", fits=lambda value: isinstance(value, Mapping), parts=parts, plain=inner.plain)


_PLAIN: Mapping[object, _Kind] = {
    str: _Kind(words="a text", fits=lambda value: isinstance(value, str)),
    bool: _Kind(words="True or False", fits=lambda value: isinstance(value, bool)),
    int: _Kind(words="a number", fits=lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: _Kind(words="a number", fits=lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)),
}


def _class(hint: Any) -> _Kind:
    """An object of a class, which checks its own options; with `written_as`, it names a secret, or may."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    words = getattr(hint, "written_as", "")
    return _Kind(
        words=words or kind_of(hint), fits=lambda value: isinstance(value, hint), plain=False, secret=bool(words)
    )

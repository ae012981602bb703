"""Errors about options that cannot work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from constructs import Construct


class OptionError(ValueError):
    """An option that cannot work: which one, its value, and what to write instead.

    Attributes:
        option: the option's name, dotted below a grouped value: `size`, `nfs.path`.
        value: what was given.
        remedy: what to write instead.
        construct: path of the construct that refused it, `""` until one has.
    """

    def __init__(self, option: str, value: object, remedy: str, *, construct: str = "") -> None:
        self.option = option
        self.value = value
        self.remedy = remedy
        self.construct = construct
        where = f"{construct}: " if construct else ""
        super().__init__(f"{where}{option}: {value!r}: {remedy}")


def require(condition: object, option: str, value: object, remedy: str) -> None:
    """Raise an `OptionError` unless the condition holds."""
    if not condition:
        raise OptionError(option, value, remedy)


def check_whole(option: str, value: int, *, low: int, high: int | None = None) -> None:
    """Reject a value that is no whole number within bounds; True is none, though Python counts it as 1."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    bounds = f"from {low} to {high}" if high is not None else f"of at least {low}"
    fits = whole and low <= value and (high is None or value <= high)
    require(fits, option, value, f"write a whole number {bounds}")


def require_type(option: str, value: object, types: type | tuple[type, ...], remedy: str) -> None:
    """Reject an argument of another type, before Python fails at something that the argument lacks."""
    shown = value if isinstance(value, (str, int, float, type(None))) else kind_of(value)
    require(isinstance(value, types), option, shown, remedy)


def kind_of(value: object) -> str:
    """Name the class of a value, or a class itself: `a dict`, `an AimStorage`."""
    name = (value if isinstance(value, type) else type(value)).__name__
    return f"{'an' if name[0] in 'AEIOaeio' else 'a'} {name}"


def check_text(option: str, value: str) -> None:
    """Reject text that no manifest and no process can hold: a NUL character, or half of a surrogate pair."""
    bare = isinstance(value, str) and not re.search(r"[\x00\ud800-\udfff]", value)
    require(bare, option, value, "write a text without NUL characters and lone surrogates")


@contextmanager
def below(group: str) -> Iterator[None]:
    """Name the group that options rejected inside belong to: `path` becomes `nfs.path`."""
    try:
        yield
    except OptionError as error:
        option = f"{group}.{error.option}".removesuffix(".")  # empty for the group itself
        raise OptionError(option, error.value, error.remedy) from None


@contextmanager
def reported_by(scope: Construct, id: str = "") -> Iterator[None]:
    """Name the construct that rejects an option; it checks before it joins the tree, so that none stays half-made.

    Args:
        scope: where it will be; or the construct itself, which is in the tree already.
        id: the id that it will have there.
    """
    try:
        yield
    except OptionError as error:
        construct = "/".join(part for part in (scope.node.path, id) if part)
        raise OptionError(error.option, error.value, error.remedy, construct=construct) from None

"""What a group of options is, in one declaration: name, type, bounds, default and text stand once.

A group is a frozen dataclass. Its attribute docstrings are the text of the instance file's schema and reference; its
annotations are the types and bounds that both Python and YAML users are held to.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Protocol

from annotated_types import Interval

from constructs_lib.errors import check_list, check_whole, require

Port = Annotated[int, Interval(ge=1, le=65535)]
"""A port number."""

Id = Annotated[int, Interval(ge=1, le=2**31 - 1)]
"""A user or group id; not 0, as Pod Security "restricted" refuses root."""

Seconds = Annotated[int, Interval(ge=0, le=2**31 - 1)]
"""Whole seconds."""

Count = Annotated[int, Interval(ge=0, le=2**31 - 1)]
"""How many."""

Amount = str | int | float
"""A Kubernetes quantity: YAML reads `cpu: 1` as a number."""


class Group(Protocol):
    """A dataclass of options."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


def check_bounds(group: Group) -> None:
    """Reject what the annotations of a group exclude: numbers out of bounds, other words, a text for a list.

    Raises:
        OptionError: names the option.
    """
    for name, declared in _declared(type(group)).items():
        value = getattr(group, name)
        if value is not None:
            _check_declared(name, value, declared)


def _check_declared(name: str, value: Any, declared: _Declared) -> None:
    if declared.kind is Sequence:
        check_list(name, value)
    if declared.bounds:
        check_whole(name, value, low=int(str(declared.bounds.ge)), high=int(str(declared.bounds.le)))
    if declared.words and isinstance(value, str):  # or it is a group, as an owner may be
        require(value in declared.words, name, value, f"write {' or '.join(declared.words)}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    """What the annotation of an option says.

    Attributes:
        kind: origin of its type.
        bounds: of a number.
        words: of which it is one.
    """

    kind: object
    bounds: Interval | None
    words: tuple[str, ...]


@functools.cache
def _declared(group: type) -> dict[str, _Declared]:
    hints = typing.get_type_hints(group, include_extras=True)
    return {field.name: _described(hints[field.name]) for field in dataclasses.fields(group)}


def _described(hint: object) -> _Declared:
    options = [hint, *typing.get_args(hint)]
    notes = (note for option in options for note in getattr(option, "__metadata__", ()))
    literals = (typing.get_args(option) for option in options if typing.get_origin(option) is typing.Literal)
    return _Declared(
        kind=typing.get_origin(hint),
        bounds=next((note for note in notes if isinstance(note, Interval)), None),
        words=next(literals, ()),
    )


def check_one_of(group: Group, *names: str) -> None:
    """Reject a group in which not exactly one of some options is given.

    Raises:
        OptionError: names what is given.
    """
    given = sorted(camel(name) for name in names if getattr(group, name) is not None)
    keys = ", ".join(camel(name) for name in names)
    this = " and ".join(given) or "none"
    require(len(given) == 1, "", this, f"write exactly one of {keys}")


def camel(name: str) -> str:
    """Spell the name of an option as Kubernetes does: `node_port` is `nodePort`."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)


def manifest(value: object) -> Any:
    """Spell a value as a manifest does: groups become mappings in camelCase, without what is empty.

    The API server drops empty text and lists: with them, every `kubectl apply` would answer "configured".
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = ((camel(field.name), getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: manifest(each) for name, each in named if each not in (None, "", (), [], {})}
    if isinstance(value, Mapping):
        return {key: manifest(each) for key, each in value.items()}
    return [manifest(each) for each in value] if isinstance(value, (list, tuple)) else value


def indexed(option: str, groups: Sequence[Any]) -> Iterator[tuple[Any, str]]:
    """Each group of a list, with the name under which its errors are reported: `tolerations[0]`."""
    for index, group in enumerate(groups):
        yield group, f"{option}[{index}]"

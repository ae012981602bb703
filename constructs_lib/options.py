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

from constructs_lib.declarations import check_type
from constructs_lib.errors import require

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


def check_declared(group: Group) -> None:
    """Reject what the annotations of a group exclude: other types and words, and numbers out of bounds.

    Raises:
        OptionError: names the option.
    """
    for name, hint in _hints(type(group)).items():
        check_type(name, getattr(group, name), hint)


@functools.cache
def _hints(group: type) -> dict[str, Any]:
    hints = typing.get_type_hints(group, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(group)}


def check_one_of(group: Group, *names: str) -> None:
    """Reject a group in which not exactly one of some options is given.

    Raises:
        OptionError: names what is given.
    """
    given = sorted(name for name in names if getattr(group, name) is not None)
    this = " and ".join(given) or "none"
    require(len(given) == 1, "", this, f"write exactly one of {', '.join(names)}")


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

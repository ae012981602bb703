"""What charts of others may use of the library: names, and the parameters that each takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import constructs_lib

Interface = dict[str, list[str]]
"""By name: its parameters in order, with `=` behind those that can be left out; none for a constant."""


def interface() -> Interface:
    """Describe today's library."""
    return dict(sorted(line for name in constructs_lib.__all__ for line in _lines(name)))


def broken(before: Interface, after: Interface) -> list[str]:
    """Tell what worked with one interface, and does not with another."""
    gone = [f"{name} is gone" for name in before if name not in after]
    kept = [(name, before[name], after[name]) for name in before if name in after]
    return gone + [f"{name}: {change}" for name, old, new in kept for change in _changes(old, new)]


def _changes(old: list[str], new: list[str]) -> Iterator[str]:
    names = [each.rstrip("=") for each in new]
    yield from (f"{each} is gone" for each in (name.rstrip("=") for name in old) if each not in names)
    yield from (f"{each} is required" for each in new if not each.endswith("=") and each not in old)


def _lines(name: str) -> Iterator[tuple[str, list[str]]]:
    found = getattr(constructs_lib, name)
    is_class = inspect.isclass(found)
    yield name, _parameters(found.__init__ if is_class else found)
    for base in reversed(found.__mro__) if is_class else ():
        if base.__module__.startswith(constructs_lib.__name__):
            yield from ((f"{name}.{member}", _parameters(value)) for member, value in _members(base))


def _members(owner: type) -> Iterator[tuple[str, Any]]:
    """Methods and properties; fields are parameters of the constructor."""
    for name, value in vars(owner).items():
        found = getattr(value, "__func__", value)
        if not name.startswith("_") and (inspect.isfunction(found) or isinstance(found, property)):
            yield name, found


def _parameters(found: Any) -> list[str]:
    if not inspect.isfunction(found):
        return []
    parameters = inspect.signature(found).parameters.values()
    return [f"{each.name}{'' if each.default is each.empty else '='}" for each in parameters if each.name != "self"]

"""Differences between manifests, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deepdiff import DeepDiff
from deepdiff.helper import notpresent

from app.changes.manifests import Key, Manifest, Objects

_NAMES = ("mountPath", "name", "containerPort", "port", "key")
"""Fields by which Kubernetes tells entries of a list apart."""

Happens = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field that differs.

    Attributes:
        path: such as `spec.template.spec.containers.aim.image`.
        before: its value; None for none.
        after: its value; None for none.
    """

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An object that differs.

    Attributes:
        key: which one.
        happens: to it.
        before: the manifest; empty where it was not there.
        after: the manifest; empty where it is gone.
        fields: that differ, of one that is changed.
    """

    key: Key
    happens: Happens
    before: Manifest
    after: Manifest
    fields: tuple[Field, ...] = ()


def differences(before: Objects, after: Objects) -> list[Difference]:
    """Compare objects, in the order in which they are applied; those that are gone come last."""
    return [each for key in [*after, *(set(before) - set(after))] for each in _compare(key, before, after)]


def _compare(key: Key, before: Objects, after: Objects) -> Iterator[Difference]:
    old, new = before.get(key, {}), after.get(key, {})
    happens: Happens = "changed" if old and new else "added" if new else "removed"
    fields = tuple(_fields(old, new)) if happens == "changed" else ()
    if fields or happens != "changed":
        yield Difference(key=key, happens=happens, before=old, after=new, fields=fields)


def _fields(before: Manifest, after: Manifest) -> Iterator[Field]:
    tree = DeepDiff(_named(before), _named(after), view="tree")
    levels = [level for kind in tree.values() for level in kind]
    for level in sorted(levels, key=lambda level: [str(part) for part in level.path(output_format="list")]):
        path = ".".join(str(part) for part in level.path(output_format="list"))
        old, new = (None if isinstance(side, type(notpresent)) else side for side in (level.t1, level.t2))
        yield Field(path=path, before=old, after=new)


def _named(value: Any) -> Any:
    """Replace lists whose entries have names by mappings: a container that is added moves no other one."""
    if isinstance(value, Mapping):
        return {key: _named(each) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    for name in _NAMES:
        names = [each.get(name) for each in value if isinstance(each, Mapping)]
        if value and len({*names} - {None}) == len(value):
            return {str(each[name]): _named(each) for each in value}
    return [_named(each) for each in value]

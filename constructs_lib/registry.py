"""Makes sure that objects which exist once in a cluster are made once in a tree, and a store has one server."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from constructs import Construct

from constructs_lib.errors import OptionError

_ID = "aim-registry"

Shared = TypeVar("Shared", bound=Construct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that a construct makes or uses up.

    Attributes:
        kind: such as `Deployment`; empty where the name says it.
        name: of the object.
        place: its namespace, or the chart that has none; empty for what is not in a namespace.
        option: of the construct, by which another one would be chosen.
        use: what is done with it, where that is not to make it.
        taken: what is said of it when another construct has it; `{owner}` stands for that one.
    """

    kind: str
    name: str
    place: str = ""
    option: str
    use: str = ""
    taken: str = "it is already made by {owner}; choose another name"

    @property
    def what(self) -> str:
        """Kind, namespace and name, as kubectl would be told: `Service ml/aim`."""
        return f"{self.kind} {self.place}/{self.name}" if self.place else f"{self.kind} {self.name}".strip()

    @property
    def key(self) -> tuple[str, ...]:
        """What two entries that cannot both be made have in common."""
        return self.use, self.kind, self.place, self.name


def config_maps(names: Iterable[str], *, place: str, option: str) -> list[Entry]:
    """Entries of ConfigMaps that one option names."""
    return [Entry(kind="ConfigMap", place=place, name=name, option=option) for name in names]


class _Registry(Construct):
    """Holds the entries of a tree, as a child of its root: jsii keeps Python objects for as long as the process lives.

    One construct for all entries, and not one for each: every call to a construct is a message to Node.js and back.

    Attributes:
        owners: the constructs that have them.
    """

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        self.owners: dict[tuple[str, ...], Construct] = {}


def check_free(scope: Construct, entries: Sequence[Entry]) -> None:
    """Reject entries that another construct of the tree has.

    Raises:
        OptionError: names the entry and the construct that has it.
    """
    owners = _registry(scope).owners
    for entry in entries:
        if entry.key in owners:
            owner = owners[entry.key].node.path
            raise OptionError(entry.option, entry.what, entry.taken.format(owner=owner))


def take(scope: Construct, entries: Sequence[Entry], *, owner: Construct) -> None:
    """Note in the tree of a scope that a construct has these entries."""
    _registry(scope).owners.update(dict.fromkeys((entry.key for entry in entries), owner))


def _registry(scope: Construct) -> _Registry:
    return shared(scope, _Registry, _ID)


def shared(scope: Construct, kind: type[Shared], id: str) -> Shared:
    """Return the one construct of a kind that a tree has, as a child of its root; it is made by the first who asks."""
    made = _found_or_made(scope, kind, id)
    assert isinstance(made, kind)
    return made


# each question about a construct is a message to Node.js and back, and the answer never changes. It is kept by the
# scope: of an app that was made in Node.js, as by `cdk8s.Testing.app()`, jsii gives out another Python object each time
@functools.cache
def _found_or_made(scope: Construct, kind: type[Construct], id: str) -> Construct:
    root = scope.node.root
    found = root.node.try_find_child(id)
    return found if isinstance(found, kind) else kind(cast(Construct, root), id)

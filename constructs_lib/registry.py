"""Makes sure that objects which exist once in a cluster are made once in a tree, and a store has one server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import quote

from constructs import Construct, IConstruct

from constructs_lib.errors import OptionError

_ID = "aim-registry"
_OWNER = "owner"


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


def check_free(scope: Construct, entries: Sequence[Entry]) -> None:
    """Reject entries that another construct of the tree has.

    Raises:
        OptionError: names the entry and the construct that has it.
    """
    registry = scope.node.root.node.try_find_child(_ID)
    for entry in entries if registry else ():
        found = registry.node.try_find_child(_id(entry))  # type: ignore[union-attr]
        if found:
            _reject(entry, found)


def _reject(entry: Entry, found: IConstruct) -> NoReturn:
    owner = next(each.data for each in found.node.metadata if each.type == _OWNER)
    raise OptionError(entry.option, entry.what, entry.taken.format(owner=owner))


def take(owner: Construct, entries: Sequence[Entry]) -> None:
    """Note that a construct has these entries; they are held by the tree itself, and are not in its output."""
    root = owner.node.root
    registry = root.node.try_find_child(_ID) or Construct(root, _ID)  # type: ignore[arg-type]
    for entry in entries:
        Construct(registry, _id(entry)).node.add_metadata(_OWNER, owner.node.path)  # type: ignore[arg-type]


def _id(entry: Entry) -> str:
    """An id: the tree would take a slash in it for a level."""
    return quote(f"{entry.use} {entry.kind} {entry.place} {entry.name}", safe=" ")

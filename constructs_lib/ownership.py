"""What exists once in a cluster is made once in an app: objects, an instance's name, and above all a store."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import Construct

from constructs_lib.errors import OptionError

_ID = "aim-ownership"
_KEPT: list[Ownership] = []
"""jsii lets go of a Python object that nobody else holds, and hands out a new one without what it knew."""


class Ownership(Construct):
    """Who has made what, in one app; a child of its root, and nothing in its output."""

    def __init__(self, root: Construct) -> None:
        super().__init__(root, _ID)
        self._owners: dict[str, Construct] = {}
        _KEPT.append(self)

    @classmethod
    def of(cls, scope: Construct) -> Ownership:
        """The one of the app that a construct is in."""
        root = scope.node.root
        found = root.node.try_find_child(_ID)
        return found if isinstance(found, Ownership) else cls(root)  # type: ignore[arg-type]

    def check(self, things: Mapping[str, str], *, remedy: str = "choose another one") -> None:
        """Refuse things that another construct has.

        Args:
            things: by what they are ("Service aim in namespace ml"), the option that another one would be chosen by.
            remedy: what to do instead.
        """
        for thing, option in things.items():
            if thing in self._owners:
                owner = self._owners[thing].node.path
                raise OptionError(option, thing, f"{remedy}: {owner} has it already")

    def take(self, things: Mapping[str, str], owner: Construct) -> None:
        """Note who has these things from now on."""
        self._owners.update(dict.fromkeys(things, owner))

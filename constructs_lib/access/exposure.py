"""Reports a server that can be reached from outside the cluster without a login.

Only the finished tree shows it: an Ingress or a route can be added at any time. So it is a validation of the tree, and
not a check of a constructor.
"""

from __future__ import annotations

import jsii
from constructs import Construct, IValidation

from constructs_lib.errors import OptionError

_REMEDY = "write ClusterIP; or allowAnonymous (allow_anonymous) true: Aim has no login, whoever reaches it may use it"

_KEPT: list[Exposure] = []
"""Validations outlive the Python objects that added them: jsii lets go of what nobody else holds."""


@jsii.implements(IValidation)
class Exposure:
    """The ways by which a server is reached from outside.

    Attributes:
        construct: path of the server.
        allow_anonymous: whether they are meant.
        ways: option and value by which each was opened.
    """

    def __init__(self, *, construct: str, allow_anonymous: bool) -> None:
        self.construct = construct
        self.allow_anonymous = allow_anonymous
        self.ways: list[tuple[str, str]] = []

    def watch(self, server: Construct) -> None:
        """Validate with the tree that a server is in."""
        server.node.add_validation(self)
        _KEPT.append(self)

    def problems(self) -> list[OptionError]:
        """Ways that nobody has allowed."""
        ways = [] if self.allow_anonymous else self.ways
        return [OptionError(option, value, _REMEDY, construct=self.construct) for option, value in ways]

    def validate(self) -> list[str]:
        """Messages for `app.synth()`, which raises them."""
        return [f"{each.option}: {each.value!r}: {each.remedy}" for each in self.problems()]

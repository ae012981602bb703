"""Reports a server that can be reached from outside the cluster without a login.

Only the finished tree shows it: an Ingress or a route can be added at any time. So it is a validation of the tree, and
not a check of a constructor.
"""

from __future__ import annotations

import jsii
from constructs import Construct, IValidation

from constructs_lib.errors import OptionError
from constructs_lib.registry import shared

_REMEDY = "write login, so that nobody comes in without; or allowAnonymous (allow_anonymous) true: Aim has no login"

_ID = "aim-exposure"


class Exposure:
    """The ways by which a server is reached from outside.

    Attributes:
        server: the server.
        allow_anonymous: whether they are meant without a login.
        login: whether there is one.
        ways: option and value by which each was opened.
    """

    def __init__(self, *, server: Construct, allow_anonymous: bool, login: bool) -> None:
        self.server = server
        self.allow_anonymous = allow_anonymous
        self.login = login
        self.ways: list[tuple[str, str]] = []

    def watch(self) -> None:
        """Validate with the tree that the server is in."""
        shared(self.server, _Watch, _ID).exposures.append(self)

    def problems(self) -> list[OptionError]:
        """Ways that nobody has allowed."""
        ways = [] if self.login or self.allow_anonymous else self.ways
        return [OptionError(option, value, _REMEDY, construct=self.server.node.path) for option, value in ways]


@jsii.implements(IValidation)
class _Watch(Construct):
    """The one validation of a tree, for all of its servers.

    cdk8s validates the whole tree once for each chart, and each validation is a message from Node.js and back: with one
    for each server, a hundred charts took ten thousand.

    Attributes:
        exposures: of the servers in the tree.
    """

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        self.exposures: list[Exposure] = []
        self.node.add_validation(self)

    def validate(self) -> list[str]:
        """Messages for `app.synth()`, which raises them."""
        return [str(problem) for each in self.exposures for problem in each.problems()]

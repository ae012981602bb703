"""The identity that a pod runs as."""

from __future__ import annotations

from dataclasses import dataclass

from constructs_lib.errors import below
from constructs_lib.options import Id, check_declared


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The user and group that every writer runs as: Aim's files are 0644, so no other user can write to them.

    On NFS and host paths the exported directory must belong to it.
    """

    uid: Id = 10001
    """User id, not 0. Default: 10001."""
    gid: Id = 10001
    """Group id, not 0. Default: 10001."""

    def check(self) -> None:
        """Reject ids that Kubernetes, or Pod Security "restricted", refuses."""
        with below("owner"):
            check_declared(self)


DEFAULT_OWNER = Owner()

"""Where a pod may run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from constructs_lib.errors import require
from constructs_lib.kubernetes.addresses import check_host, check_ip
from constructs_lib.kubernetes.names import check_labels
from constructs_lib.options import Seconds, check_declared


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """A taint of nodes that the pod tolerates."""

    key: str | None = None
    """Key of the taint. Default: every taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal, or Exists, which takes no value. Default: Equal."""
    value: str | None = None
    """Value of the taint, for Equal. Default: none."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """NoSchedule, PreferNoSchedule or NoExecute. Default: every effect."""
    toleration_seconds: Seconds | None = None
    """Seconds that the pod stays on a node with a NoExecute taint. Default: for ever."""

    def check(self) -> None:
        """Reject combinations that the API server refuses, or that tolerate more than they say."""
        check_declared(self)
        exists = self.operator == "Exists"
        require(not (exists and self.value), "value", self.value, "leave it out: Exists takes none")
        require(exists or self.key, "key", self.key, "write the key of the taint, or operator Exists")
        alone = self.key or not (self.effect or self.toleration_seconds is not None)
        require(alone, "effect", self.effect, "name the key too: without one, every taint is tolerated")
        check_labels("key", {self.key: self.value or ""} if self.key else {})
        evicts = self.toleration_seconds is None or self.effect == "NoExecute"
        remedy = "leave it out, or write effect NoExecute"
        require(evicts, "toleration_seconds", self.toleration_seconds, remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAlias:
    """Names for an address that no DNS knows, written to the pod's `/etc/hosts`."""

    ip: str
    """The IP address."""
    hostnames: Sequence[str]
    """Host names of the address."""

    def check(self) -> None:
        """Reject an invalid address, and an empty list of names."""
        check_declared(self)
        check_ip("ip", self.ip)
        require(self.hostnames, "hostnames", list(self.hostnames), "write at least one name")
        for name in self.hostnames:
            check_host("hostnames", name)

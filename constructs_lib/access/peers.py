"""Peers of network rules, as values: namespaces, pods and addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from constructs import Construct

from constructs_lib.declarations import check_type
from constructs_lib.errors import below, require
from constructs_lib.kubernetes.addresses import check_cidr
from constructs_lib.kubernetes.names import check_labels
from constructs_lib.options import Port, check_declared, check_one_of, indexed
from constructs_lib.plus import kplus


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Labels that pods or namespaces have."""

    match_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels and their values. Default: all."""

    def check(self) -> None:
        """Reject what cannot be labels."""
        check_declared(self)
        check_labels("match_labels", self.match_labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class IpBlock:
    """Addresses."""

    cidr: str
    """The network in CIDR notation, such as 10.0.0.0/8."""
    except_: Sequence[str] = ()
    """Networks within `cidr` to leave out. Default: none."""

    def check(self) -> None:
        """Reject what is no network, and exceptions that are not within it."""
        check_declared(self)
        network = ipaddress.ip_network(check_cidr("cidr", self.cidr))
        for index, text in enumerate(self.except_):
            part = ipaddress.ip_network(check_cidr(f"except_[{index}]", text))
            inside = part.prefixlen > network.prefixlen and part.network_address in network
            require(inside, f"except_[{index}]", str(part), f"write a network within {network}")

    def render(self, scope: Construct, id: str) -> kplus.NetworkPolicyIpBlock:
        """Make the peer of a NetworkPolicy.

        Args:
            scope: of the construct.
            id: of it.
        """
        network = ipaddress.ip_network(self.cidr)
        make = kplus.NetworkPolicyIpBlock.ipv4 if network.version == 4 else kplus.NetworkPolicyIpBlock.ipv6
        parts = [str(ipaddress.ip_network(part)) for part in self.except_]
        return make(scope, id, str(network), parts or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who may come in. Write exactly one of namespaceSelector, which a podSelector may narrow, and ipBlock."""

    one_of: ClassVar = ("namespace_selector", "ip_block")

    namespace_selector: Selector | None = None
    """Namespaces, by their labels: all their pods, unless `podSelector` says less."""
    pod_selector: Selector | None = None
    """Pods of those namespaces, by their labels. Default: all. The instance's own namespace may come in already."""
    ip_block: IpBlock | None = None
    """Addresses outside the cluster."""

    def check(self) -> None:
        """Reject two kinds in one, none, and labels or addresses that cannot be."""
        check_declared(self)
        check_one_of(self, *self.one_of)
        if self.ip_block:
            remedy = "leave it out: addresses have no labels; or write it in an entry of its own"
            require(self.pod_selector is None, "pod_selector", self.pod_selector, remedy)
        for name in ("namespace_selector", "pod_selector", "ip_block"):
            with below(name):
                if getattr(self, name):
                    getattr(self, name).check()

    def render(self, scope: Construct, id: str) -> kplus.INetworkPolicyPeer:
        """Make the peer of a NetworkPolicy.

        Args:
            scope: where its constructs are made.
            id: of them.
        """
        if self.ip_block:
            return self.ip_block.render(scope, id)
        namespaces = self.namespace_selector.match_labels if self.namespace_selector else {}
        selected = kplus.Namespaces.select(scope, id, labels=dict(namespaces))
        if not self.pod_selector:
            return selected
        return kplus.Pods.select(scope, f"{id}Pods", labels=dict(self.pod_selector.match_labels), namespaces=selected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination(Peer):
    """What the pod may reach. Write exactly one of namespaceSelector, which a podSelector may narrow, and ipBlock."""

    pod_selector: Selector | None = None
    """Pods of those namespaces, by their labels. Default: all."""
    ip_block: IpBlock | None = None
    """Addresses, in the cluster or outside of it."""
    ports: Sequence[Port] = (443,)
    """TCP ports; of pods, those that they listen on. Default: 443."""

    def check(self) -> None:
        """Reject what cannot be a peer, and what cannot be ports."""
        Peer.check(self)  # `super()` does not work in a class that dataclass has made anew for its slots
        check_ports("ports", self.ports)


def check_peers(option: str, peers: Sequence[Peer]) -> None:
    """Reject what cannot be peers."""
    for peer, where in indexed(option, peers):
        with below(where):
            peer.check()


def check_ports(option: str, ports: Sequence[int]) -> None:
    """Reject no port, and numbers that are none."""
    check_type(option, ports, Sequence[Port])
    require(ports, option, list(ports), "write at least one, such as 443")

"""Who may come in, and what a pod may reach: the rules of a NetworkPolicy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cdk8s
from constructs import Construct

from constructs_lib.access.peers import Destination, Peer
from constructs_lib.errors import below, kind_of, require
from constructs_lib.options import indexed
from constructs_lib.plus import kplus

_PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
"""Networks of clusters and clouds, their metadata services among them."""


class NetworkRules(Construct):
    """A NetworkPolicy that closes both ways, until peers are named.

    Attributes:
        policy: the NetworkPolicy.
    """

    policy: kplus.NetworkPolicy

    def __init__(
        self, scope: Construct, id: str, *, pods: kplus.IPodSelector, metadata: cdk8s.ApiObjectMetadata
    ) -> None:
        """Close the pods.

        Args:
            scope: the construct that the pods belong to.
            id: of this construct.
            pods: whom the policy is for.
            metadata: of the policy.
        """
        super().__init__(scope, id)
        closed = kplus.NetworkPolicyTraffic(default=kplus.NetworkPolicyTrafficDefault.DENY)
        self.policy = kplus.NetworkPolicy(
            self, "NetworkPolicy", metadata=metadata, selector=pods, ingress=closed, egress=closed
        )
        self._resolves = False
        self._rendered = 0

    def allow_from(self, port: int, peers: Sequence[kplus.INetworkPolicyPeer]) -> None:
        """Let pods, namespaces or addresses come in to a port."""
        for peer in peers:
            self.policy.add_ingress_rule(peer, [kplus.NetworkPolicyPort.tcp(port)])

    def admit(self, port: int, peers: Sequence[Peer | kplus.INetworkPolicyPeer]) -> None:
        """Check peers of a user, and let them come in to a port.

        Raises:
            OptionError: no peer, or something else.
        """
        _check_peers(peers, [Peer])
        self.allow_from(port, [self._render(peer) for peer in peers])

    def reach(self, peers: Sequence[Peer | kplus.INetworkPolicyPeer], ports: Sequence[int]) -> None:
        """Check destinations of a user, and let the pods reach TCP ports of them, and the cluster's DNS.

        Args:
            peers: what they may reach.
            ports: of those that name none of their own.

        Raises:
            OptionError: no peer, or something else.
        """
        _check_peers(peers, [Destination, Peer])
        for peer in peers:
            self.allow_to([self._render(peer)], peer.ports if isinstance(peer, Destination) else ports)

    def allow_to_public(self, ports: Sequence[int]) -> None:
        """Let the pods reach TCP ports of public addresses, and the cluster's DNS."""
        public = [
            kplus.NetworkPolicyIpBlock.ipv4(self, "PublicIpv4", "0.0.0.0/0", list(_PRIVATE)),
            kplus.NetworkPolicyIpBlock.ipv6(self, "PublicIpv6", "2000::/3"),
        ]
        self.allow_to(public, ports)

    def allow_to(self, peers: Sequence[kplus.INetworkPolicyPeer], ports: Sequence[int]) -> None:
        """Let the pods reach TCP ports of pods, namespaces or addresses, and the cluster's DNS."""
        for peer in peers:
            self.policy.add_egress_rule(peer, [kplus.NetworkPolicyPort.tcp(port) for port in ports])
        if peers and not self._resolves:
            self._allow_dns()
            self._resolves = True

    def _render(self, peer: Peer | kplus.INetworkPolicyPeer) -> kplus.INetworkPolicyPeer:
        if not isinstance(peer, Peer):
            return peer
        self._rendered += 1
        return peer.render(self, f"Peer-{self._rendered}")

    def _allow_dns(self) -> None:
        """Let the pods ask the cluster's DNS, wherever a cluster has it.

        A policy sees the port of the DNS server's pod, not that of its Service: 53, on OpenShift 5353. NodeLocal
        DNSCache answers on an address of the node
        (https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/).
        """
        cluster = kplus.Namespaces.all(self, "AnyNamespace")
        openshift = kplus.Namespaces.select(self, "OpenShift", labels={"kubernetes.io/metadata.name": "openshift-dns"})
        servers: list[tuple[kplus.INetworkPolicyPeer, int]] = [
            (kplus.Pods.select(self, "Dns", labels={"k8s-app": "kube-dns"}, namespaces=cluster), 53),
            (kplus.NetworkPolicyIpBlock.ipv4(self, "NodeLocalDns", "169.254.20.10/32"), 53),
            (openshift, 5353),
        ]
        for server, port in servers:
            udp = kplus.NetworkPolicyPort.of(port=port, protocol=kplus.NetworkProtocol.UDP)
            self.policy.add_egress_rule(server, [udp, kplus.NetworkPolicyPort.tcp(port)])


def _check_peers(peers: Sequence[Any], kinds: Sequence[type[Peer]]) -> None:
    remedy = f"write {kind_of(kinds[0])}, or pods, namespaces or addresses of cdk8s-plus"
    require(peers, "peers", list(peers), f"write at least one: {remedy.removeprefix('write ')}")
    for peer, where in indexed("peers", peers):
        if type(peer) in kinds:  # a Destination is a Peer, whose ports would have no effect on who comes in
            with below(where):
                peer.check()
        else:
            # an interface of jsii is no class that isinstance() could ask for
            other = hasattr(peer, "to_network_policy_peer_config")
            require(other, where, peer if isinstance(peer, str) else kind_of(peer), remedy)


def default_peers(scope: Construct, *, exposed: bool) -> list[kplus.INetworkPolicyPeer]:
    """Make the peers that come in by default: the pods of the same namespace, and everybody to an exposed Service.

    Args:
        scope: where they are made.
        exposed: whether the Service is reached through a node, where the addresses that could be told apart are lost.
    """
    peers: list[kplus.INetworkPolicyPeer] = [kplus.Pods.all(scope, "SameNamespace")]
    if exposed:
        peers.append(kplus.NetworkPolicyIpBlock.any_ipv4(scope, "AnyIpv4"))
        peers.append(kplus.NetworkPolicyIpBlock.any_ipv6(scope, "AnyIpv6"))
    return peers

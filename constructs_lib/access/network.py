"""Who may come in, and what a pod may reach: the rules of a NetworkPolicy."""

from __future__ import annotations

from collections.abc import Sequence

import cdk8s
from constructs import Construct

from constructs_lib.plus import kplus


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

    def allow_from(self, port: int, peers: Sequence[kplus.INetworkPolicyPeer]) -> None:
        """Let pods, namespaces or addresses come in to a port."""
        for peer in peers:
            self.policy.add_ingress_rule(peer, [kplus.NetworkPolicyPort.tcp(port)])

    def allow_to(self, peers: Sequence[kplus.INetworkPolicyPeer], ports: Sequence[int]) -> None:
        """Let the pods reach TCP ports of pods, namespaces or addresses, and the cluster's DNS."""
        for peer in peers:
            self.policy.add_egress_rule(peer, [kplus.NetworkPolicyPort.tcp(port) for port in ports])
        if peers and not self._resolves:
            self._allow_dns()
            self._resolves = True

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

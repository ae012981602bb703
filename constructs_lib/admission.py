"""Who may come in, and what the pod may reach: the rules of a server's NetworkPolicy."""

from __future__ import annotations

from collections.abc import Sequence

from constructs import Construct

from constructs_lib.plus import kplus


def admit(policy: kplus.NetworkPolicy, port: int, *peers: kplus.INetworkPolicyPeer) -> None:
    """Let pods, namespaces or addresses come in to a port."""
    for peer in peers:
        policy.add_ingress_rule(peer, [kplus.NetworkPolicyPort.tcp(port)])


def default_peers(scope: Construct, *, exposed: bool) -> list[kplus.INetworkPolicyPeer]:
    """The pods of the same namespace; and everybody, where the Service can be reached from outside the cluster.

    Args:
        scope: what the peers are for.
        exposed: through a node, the addresses that could be told apart are lost.
    """
    peers: list[kplus.INetworkPolicyPeer] = [kplus.Pods.all(scope, "SameNamespace")]
    if exposed:
        peers.append(kplus.NetworkPolicyIpBlock.any_ipv4(scope, "AnyIpv4"))
        peers.append(kplus.NetworkPolicyIpBlock.any_ipv6(scope, "AnyIpv6"))
    return peers


def let_out(policy: kplus.NetworkPolicy, ports: Sequence[int], *peers: kplus.INetworkPolicyPeer) -> None:
    """Let the pod reach TCP ports of pods, namespaces or addresses."""
    for peer in peers:
        policy.add_egress_rule(peer, [kplus.NetworkPolicyPort.tcp(port) for port in ports])


def let_resolve(scope: Construct, policy: kplus.NetworkPolicy) -> None:
    """Let the pod ask the cluster's DNS, wherever a cluster has it.

    A policy sees the port of the DNS server's pod, not that of its Service: 53, on OpenShift 5353. NodeLocal DNSCache
    answers on an address of the node (https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/).
    """
    cluster = kplus.Namespaces.all(scope, "AnyNamespace")
    openshift = kplus.Namespaces.select(scope, "OpenShift", labels={"kubernetes.io/metadata.name": "openshift-dns"})
    servers: list[tuple[kplus.INetworkPolicyPeer, int]] = [
        (kplus.Pods.select(scope, "Dns", labels={"k8s-app": "kube-dns"}, namespaces=cluster), 53),
        (kplus.NetworkPolicyIpBlock.ipv4(scope, "NodeLocalDns", "169.254.20.10/32"), 53),
        (openshift, 5353),
    ]
    for server, port in servers:
        udp = kplus.NetworkPolicyPort.of(port=port, protocol=kplus.NetworkProtocol.UDP)
        policy.add_egress_rule(server, [udp, kplus.NetworkPolicyPort.tcp(port)])

"""Who may come in: the rules of a server's NetworkPolicy."""

from __future__ import annotations

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

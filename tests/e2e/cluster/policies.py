"""Network policies as rules of the packet filter, by Kubernetes' own definition of them.

Knows pods and namespaces by their labels, IPv4 address blocks with exceptions, TCP and UDP ports by number, range or
name. As with kube-router and Calico, a pod's traffic to its own node is traffic as any other.
Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """One of the two ways in which a policy isolates a pod.

    Attributes:
        name: in `policyTypes`.
        chain: of the packet filter, which asks one after the other: a packet has to be allowed by both.
        rules: key of a policy's rules.
        peers: key of a rule's peers.
        pod: option of the packet filter for the address of the isolated pod.
        peer: the same for the other side's.
    """

    name: str
    chain: str
    rules: str
    peers: str
    pod: str
    peer: str


INGRESS = Direction(name="Ingress", chain="AIM-INGRESS", rules="ingress", peers="from", pod="-d", peer="-s")
EGRESS = Direction(name="Egress", chain="AIM-EGRESS", rules="egress", peers="to", pod="-s", peer="-d")

Peer = tuple[str, Object | None]
"""An address, and the pod that has it, where a pod was meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Everything that policies speak of."""

    pods: list[Object]
    namespaces: list[Object]
    policies: list[Object]

    def script(self) -> str:
        """Input of `iptables-restore`, which exchanges both chains at once."""
        chains = [f":{each.chain} - [0:0]" for each in (INGRESS, EGRESS)]
        rules = [rule for each in (INGRESS, EGRESS) for rule in self._rules(each)]
        return "\n".join(["*filter", *chains, *rules, "COMMIT", ""])

    def _rules(self, direction: Direction) -> Iterator[str]:
        """Replies pass; then what policies allow; then nothing else of or to a pod that a policy selects."""
        yield f"-A {direction.chain} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
        isolated = set()
        for policy in (each for each in self.policies if direction.name in _types(each)):
            for pod in self._found(policy["spec"].get("podSelector"), {policy["metadata"]["namespace"]}):
                isolated.add(_address(pod))
                for rule in policy["spec"].get(direction.rules) or []:
                    for match in self._matches(direction, rule, pod):
                        yield f"-A {direction.chain} {direction.pod} {_address(pod)} {match} -j RETURN"
        yield from (f"-A {direction.chain} {direction.pod} {address} -j DROP" for address in sorted(isolated))

    def _matches(self, direction: Direction, rule: Object, pod: Object) -> Iterator[str]:
        """The packets that one rule allows for a pod; no peers are all, and so are no ports."""
        peers = [found for peer in rule.get(direction.peers) or [{}] for found in self._peers(peer, pod)]
        for address, other in peers:
            server = pod if direction is INGRESS else other
            yield from (f"{direction.peer} {address} {port}" for port in _ports(rule, server))

    def _peers(self, peer: Object, pod: Object) -> list[Peer]:
        """The addresses that a peer of a policy stands for."""
        if not peer:
            return [("0.0.0.0/0", None)]
        if block := peer.get("ipBlock"):
            return [(str(network), None) for network in _networks(block)]
        homes = {pod["metadata"]["namespace"]}
        if "namespaceSelector" in peer:
            fitting = [each for each in self.namespaces if _fits(peer["namespaceSelector"], each)]
            homes = {each["metadata"]["name"] for each in fitting}
        return [(_address(each), each) for each in self._found(peer.get("podSelector"), homes)]

    def _found(self, selector: Object | None, namespaces: set[str]) -> list[Object]:
        """Pods with an address of their own that a selector finds in namespaces."""
        found = [pod for pod in self.pods if pod["metadata"]["namespace"] in namespaces and _fits(selector, pod)]
        running = [pod for pod in found if pod["status"]["phase"] in {"Pending", "Running"}]
        return [pod for pod in running if pod["status"].get("podIP") and not pod["spec"].get("hostNetwork")]


def _types(policy: Object) -> list[str]:
    """The directions that a policy isolates: without `policyTypes`, ingress, and egress where it has such rules."""
    default = ["Ingress", "Egress"] if policy["spec"].get("egress") else ["Ingress"]
    return list(policy["spec"].get("policyTypes") or default)


def _address(pod: Object) -> str:
    return str(pod["status"]["podIP"])


def _fits(selector: Object | None, item: Object) -> bool:
    """Whether the labels of an object fit a selector."""
    labels = item["metadata"].get("labels", {})
    wanted, expressions = ((selector or {}).get(key) for key in ("matchLabels", "matchExpressions"))
    alike = all(labels.get(key) == value for key, value in (wanted or {}).items())
    return alike and all(_meets(labels.get(each["key"]), each) for each in expressions or [])


def _meets(value: str | None, expression: Object) -> bool:
    """Whether the value of a label, or None for none, meets one of matchExpressions."""
    among = value in (expression.get("values") or [])
    by_operator = {"In": among, "NotIn": not among, "Exists": value is not None, "DoesNotExist": value is None}
    return by_operator[expression["operator"]]


def _networks(block: Object) -> list[IPv4Network]:
    """The IPv4 networks of an address block without its exceptions."""
    whole, *holes = (ip_network(cidr) for cidr in (block["cidr"], *block.get("except", [])))
    networks = [whole] if isinstance(whole, IPv4Network) else []
    for hole in (each for each in holes if isinstance(each, IPv4Network)):
        networks = [part for each in networks for part in _without(each, hole)]
    return networks


def _without(network: IPv4Network, hole: IPv4Network) -> list[IPv4Network]:
    if network.subnet_of(hole):
        return []
    return list(network.address_exclude(hole)) if hole.subnet_of(network) else [network]


def _ports(rule: Object, server: Object | None) -> list[str]:
    """The ports of a rule; names are looked up in the pod that serves, and nothing else has any."""
    containers = server["spec"]["containers"] if server else []
    named = {port.get("name"): port["containerPort"] for each in containers for port in each.get("ports", [])}
    found = []
    for port in rule.get("ports") or []:
        first = named.get(port["port"], port["port"]) if "port" in port else 1
        last = port.get("endPort", first if "port" in port else 65535)
        if isinstance(first, int):
            found.append(f"-p {port.get('protocol', 'TCP').lower()} --dport {first}:{last}")
    return found if rule.get("ports") else [""]

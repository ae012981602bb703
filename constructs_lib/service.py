"""The Service of an `AimServer`: who can reach it, and how."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cdk8s
from constructs import Construct

from constructs_lib.errors import OptionError, below, check_list, check_whole, require
from constructs_lib.names import check_annotations, check_key, check_service_name
from constructs_lib.plus import kplus
from constructs_lib.process import PORT

_TYPES = (kplus.ServiceType.CLUSTER_IP, kplus.ServiceType.NODE_PORT, kplus.ServiceType.LOAD_BALANCER)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """How the server is reached.

    Attributes:
        type: ClusterIP, NodePort or LoadBalancer. Default: ClusterIP, reachable in the cluster only.
        port: 1 to 65535. Default: 80.
        name: of the Service, a DNS-1035 label. Default: the instance's name.
        node_port: for NodePort and LoadBalancer. Default: the cluster chooses.
        load_balancer_source_ranges: CIDRs that a LoadBalancer admits. Default: all.
        load_balancer_class: which implementation serves a LoadBalancer. Default: the cluster's.
        annotations: of the Service, for the load balancer's controller. Default: none.
    """

    type: kplus.ServiceType = kplus.ServiceType.CLUSTER_IP
    port: int = 80
    name: str | None = None
    node_port: int | None = None
    load_balancer_source_ranges: Sequence[str] = ()
    load_balancer_class: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def exposed(self) -> bool:
        """Whether it can be reached from outside the cluster."""
        return self.type is not kplus.ServiceType.CLUSTER_IP

    @property
    def type_name(self) -> str:
        """The type as Kubernetes spells it."""
        return "".join(word.title() for word in self.type.name.split("_")).replace("Ip", "IP")

    def check(self) -> None:
        """Refuse values that cannot work, and such that the type leaves without effect."""
        with below("service"):
            named = self.type_name if isinstance(self.type, kplus.ServiceType) else self.type
            require(self.type in _TYPES, "type", named, "write ClusterIP, NodePort or LoadBalancer")
            check_whole("port", self.port, low=1, high=65535)
            if self.name is not None:
                check_service_name("name", self.name)
            if self.node_port is not None:
                check_whole("node_port", self.node_port, low=1, high=65535)
                require(self.exposed, "node_port", self.node_port, "leave it out, or write type NodePort")
            self._check_load_balancer()
            check_annotations("annotations", self.annotations)

    def _check_load_balancer(self) -> None:
        balanced = self.type is kplus.ServiceType.LOAD_BALANCER
        remedy = "leave it out, or write type LoadBalancer"
        check_list("load_balancer_source_ranges", self.load_balancer_source_ranges)
        ranges = list(self.load_balancer_source_ranges)
        require(balanced or not ranges, "load_balancer_source_ranges", ranges, remedy)
        for cidr in ranges:
            check_cidr("load_balancer_source_ranges", cidr)
        if self.load_balancer_class is not None:
            require(balanced, "load_balancer_class", self.load_balancer_class, remedy)
            check_key("load_balancer_class", self.load_balancer_class)

    def render(self, scope: Construct, id: str, *, metadata: cdk8s.ApiObjectMetadata) -> kplus.Service:
        """The Service, still without a selector."""
        ports = [kplus.ServicePort(name="http", port=self.port, target_port=PORT, node_port=self.node_port)]
        ranges = [check_cidr("load_balancer_source_ranges", cidr) for cidr in self.load_balancer_source_ranges] or None
        service = kplus.Service(
            scope, id, metadata=metadata, type=self.type, ports=ports, load_balancer_source_ranges=ranges
        )
        resource = cdk8s.ApiObject.of(service)
        # cdk8s-plus always writes an empty list, and every kubectl apply would answer "configured"
        resource.add_json_patch(cdk8s.JsonPatch.remove("/spec/externalIPs"))
        if self.load_balancer_class:
            resource.add_json_patch(cdk8s.JsonPatch.add("/spec/loadBalancerClass", self.load_balancer_class))
        return service


def check_cidr(option: str, cidr: str) -> str:
    """A network in CIDR notation, as Kubernetes writes it."""
    try:
        network = ipaddress.ip_network(cidr) if "/" in cidr and "%" not in cidr else None
    except ValueError:
        network = None
    # cdk8s-plus-27 has no pattern for an IPv4 address in IPv6 clothes
    if network is None or getattr(network.network_address, "ipv4_mapped", None):
        raise OptionError(option, cidr, "write a network in CIDR notation, no host bits set, such as 10.0.0.0/8")
    return str(network)

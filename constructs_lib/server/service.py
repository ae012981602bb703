"""The Service of an `AimServer`: who can reach it, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cdk8s
from constructs import Construct

from constructs_lib.errors import below, require
from constructs_lib.kubernetes.addresses import check_cidr
from constructs_lib.kubernetes.names import check_annotations, check_key, check_service_name
from constructs_lib.options import Port, check_declared
from constructs_lib.plus import kplus, patch
from constructs_lib.server.front import Front

_TYPES = {
    "ClusterIP": kplus.ServiceType.CLUSTER_IP,
    "NodePort": kplus.ServiceType.NODE_PORT,
    "LoadBalancer": kplus.ServiceType.LOAD_BALANCER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """How the server is reached."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Anything but ClusterIP admits every address, and needs a `login`, or `allowAnonymous: true`. Default:
    ClusterIP."""
    port: Port = 80
    """Port of the Service. Default: 80."""
    name: str | None = None
    """Name of the Service. Default: the instance's name."""
    node_port: Port | None = None
    """Port of every node, for NodePort and LoadBalancer. Default: the cluster chooses."""
    load_balancer_source_ranges: Sequence[str] = ()
    """CIDRs that a LoadBalancer admits. Default: all."""
    load_balancer_class: str | None = None
    """Class of the load balancer's implementation. Default: the cluster's."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the Service, for the load balancer's controller. Default: none."""

    @property
    def exposed(self) -> bool:
        """Whether it can be reached from outside the cluster."""
        return self.type != "ClusterIP"

    def check(self) -> None:
        """Reject invalid values, and options that the Service type ignores."""
        with below("service"):
            check_declared(self)
            if self.name is not None:
                check_service_name("name", self.name)
            if self.node_port is not None:
                require(self.exposed, "node_port", self.node_port, "leave it out, or write type NodePort")
            self._check_load_balancer()
            check_annotations("annotations", self.annotations)

    def _check_load_balancer(self) -> None:
        balanced = self.type == "LoadBalancer"
        remedy = "leave it out, or write type LoadBalancer"
        ranges = list(self.load_balancer_source_ranges)
        require(balanced or not ranges, "load_balancer_source_ranges", ranges, remedy)
        for cidr in ranges:
            check_cidr("load_balancer_source_ranges", cidr)
        if self.load_balancer_class is not None:
            require(balanced, "load_balancer_class", self.load_balancer_class, remedy)
            check_key("load_balancer_class", self.load_balancer_class)

    def render(
        self, scope: Construct, id: str, *, metadata: cdk8s.ApiObjectMetadata, pods: kplus.Pods, front: Front
    ) -> kplus.Service:
        """Make the Service.

        Args:
            scope: where it is made.
            id: of the Service's construct.
            metadata: of the Service.
            pods: behind it.
            front: what it leads to.
        """
        port = kplus.ServicePort(name=front.name, port=self.port, target_port=front.port, node_port=self.node_port)
        ranges = [check_cidr("load_balancer_source_ranges", cidr) for cidr in self.load_balancer_source_ranges] or None
        service = kplus.Service(
            scope,
            id,
            metadata=metadata,
            selector=pods,
            type=_TYPES[self.type],
            ports=[port],
            load_balancer_source_ranges=ranges,
        )
        balanced = {"/spec/loadBalancerClass": self.load_balancer_class} if self.load_balancer_class else {}
        # cdk8s-plus always writes an empty list, and every kubectl apply would answer "configured"
        patch(service, balanced, without=["/spec/externalIPs"])
        return service

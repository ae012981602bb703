"""An HTTPRoute of the Gateway API in front of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cdk8s
from constructs import Construct

from constructs_lib.access.hosts import Backend, check_hosts
from constructs_lib.access.peers import Peer, check_peers
from constructs_lib.errors import below, require
from constructs_lib.kubernetes.names import check_annotations, check_namespace, check_object_name
from constructs_lib.options import Port, check_declared, indexed, manifest
from constructs_lib.plus import plain_object


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentRef:
    """A Gateway, which must admit routes of the instance's namespace."""

    name: str
    """Name of the Gateway."""
    namespace: str | None = None
    """Its namespace. Default: the instance's."""
    section_name: str | None = None
    """Name of its listener. Default: all of them."""
    port: Port | None = None
    """Port of its listener. Default: all of them."""

    def check(self) -> None:
        """Reject what cannot be a Gateway."""
        check_declared(self)
        check_object_name("name", self.name)
        if self.namespace is not None:
            check_namespace("namespace", self.namespace)
        if self.section_name is not None:
            check_object_name("section_name", self.section_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteOptions:
    """An HTTPRoute: Gateways lead host names to the server. TLS is the Gateway's; its path is the base path."""

    parents: Sequence[ParentRef]
    """The Gateways."""
    hostnames: Sequence[str]
    """Names by which people open it and machines record runs, such as aim.example.com."""
    from_: Sequence[Peer] = ()
    """The pods of the Gateways' proxies, which the network rules admit. Default: none, so only the same namespace comes
    in, and those that `allowFrom` names."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the HTTPRoute. Default: none."""

    def check(self) -> None:
        """Reject values that cannot work.

        Raises:
            OptionError: names the option.
        """
        check_declared(self)
        require(self.parents, "parents", list(self.parents), "write at least one Gateway: {name: gateway}")
        for parent, where in indexed("parents", self.parents):
            with below(where):
                parent.check()
        check_hosts("hostnames", self.hostnames)
        check_peers("from_", self.from_)
        check_annotations("annotations", self.annotations)

    def render(
        self, scope: Construct, *, metadata: cdk8s.ApiObjectMetadata, service: str, backends: Sequence[Backend]
    ) -> cdk8s.ApiObject:
        """Make the HTTPRoute; a plain object, as its generated types are half a megabyte of Python.

        Args:
            scope: where it is made.
            metadata: of it, with `annotations`.
            service: name of the Service behind.
            backends: paths, and the ports of the Service that they lead to.
        """
        spec = {
            "parentRefs": [manifest(parent) for parent in self.parents],
            "hostnames": list(self.hostnames),
            "rules": [_rule(service, backend) for backend in backends],
        }
        kind = "gateway.networking.k8s.io/v1"
        return plain_object(scope, "HTTPRoute", kind, "HTTPRoute", metadata=metadata, spec=spec)


def _rule(service: str, backend: Backend) -> dict[str, object]:
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": backend.path}}],
        # some Gateways end a search after 15 s otherwise; 0s is no limit
        "timeouts": {"request": "0s"},
        "backendRefs": [{"name": service, "port": backend.port}],
    }

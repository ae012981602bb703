"""An Ingress in front of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cdk8s
from constructs import Construct

from constructs_lib.access.controllers import Controller, facts_of
from constructs_lib.access.hosts import Backend, check_host_name
from constructs_lib.access.peers import Peer, check_peers
from constructs_lib.errors import below, require
from constructs_lib.kubernetes.names import check_annotations, check_object_name
from constructs_lib.options import check_declared
from constructs_lib.plus import plain_object


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerRef:
    """What cert-manager has the certificate from."""

    name: str
    """Name of the issuer."""
    kind: Literal["ClusterIssuer", "Issuer"] = "ClusterIssuer"
    """Kind of the issuer. Default: ClusterIssuer."""

    def check(self) -> None:
        """Reject what cannot be an issuer."""
        check_declared(self)
        check_object_name("name", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressOptions:
    """An Ingress: the controller's proxy leads a host name to the server. Its path is the base path, unchanged."""

    host: str
    """Name by which people open it, such as aim.example.com."""
    tracking_host: str | None = None
    """Name by which machines record runs. Default: `host`."""
    class_name: str | None = None
    """Name of the IngressClass. Default: the cluster's."""
    controller: Controller | None = None
    """Which controller it is, for the annotations that it needs for searches of minutes, streams, large bodies and
    WebSockets, and for `from`. Default: none, so that the controller must allow them by itself."""
    tls_secret: str | None = None
    """Name of the Secret with the certificate. Default: `<name>-tls` with `issuer`, otherwise none."""
    issuer: IssuerRef | None = None
    """Have cert-manager make the certificate. Default: it is there, or none."""
    default_certificate: bool = False
    """TLS with a certificate that the controller has of its own, or finds by the host name, as ALB does. Default:
    false."""
    from_: Sequence[Peer] = ()
    """The controller's pods, which the network rules admit. Default: where the own installation of `controller` puts
    them; of ALB and without a controller none, so that only the same namespace and `allowFrom` come in."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the Ingress; they win over those of `controller`. Default: none."""

    @property
    def tls(self) -> bool:
        """Whether it is reached over HTTPS."""
        return bool(self.tls_secret or self.issuer or self.default_certificate)

    @property
    def hosts(self) -> list[str]:
        """Every host name of it, once."""
        return list(dict.fromkeys([self.host, self.tracking_host or self.host]))

    @property
    def proxies(self) -> Sequence[Peer]:
        """Who the network rules admit because of it."""
        return self.from_ or facts_of(self.controller).proxies

    def check(self) -> None:
        """Reject values that cannot work.

        Raises:
            OptionError: names the option.
        """
        check_declared(self)
        check_host_name("host", self.host)
        if self.tracking_host is not None:
            check_host_name("tracking_host", self.tracking_host)
        for name in ("class_name", "tls_secret"):
            if getattr(self, name) is not None:
                check_object_name(name, getattr(self, name))
        if self.issuer:
            with below("issuer"):
                self.issuer.check()
        named = self.tls_secret or self.issuer
        remedy = "leave it out: tls_secret or issuer is another certificate"
        require(not (self.default_certificate and named), "default_certificate", self.default_certificate, remedy)
        check_peers("from_", self.from_)
        check_annotations("annotations", self.annotations)

    def annotations_for(self, *, service: str, backends: Sequence[Backend], health: str) -> Mapping[str, str]:
        """Make the annotations of the Ingress: those of its controller, of its issuer, and its own.

        Args:
            service: name of the Service behind.
            backends: its paths.
            health: a path that answers 200 without a login.
        """
        paths = ",".join(backend.path for backend in backends)
        known = facts_of(self.controller).annotations_for(service=service, health=health, paths=paths)
        return dict(sorted({**known, **self._issuer_annotation(), **self.annotations}.items()))

    def render(
        self, scope: Construct, *, metadata: cdk8s.ApiObjectMetadata, service: str, backends: Sequence[Backend]
    ) -> cdk8s.ApiObject:
        """Make the Ingress.

        Args:
            scope: where it is made.
            metadata: of it, with `annotations_for`.
            service: name of the Service behind.
            backends: paths, and the ports of the Service that they lead to.
        """
        spec: dict[str, object] = {"ingressClassName": self.class_name} if self.class_name else {}
        paths = [_path(service, backend) for backend in backends]
        spec["rules"] = [{"host": host, "http": {"paths": paths}} for host in self.hosts]
        if self.tls:
            secret = self.tls_secret or (f"{metadata.name}-tls" if self.issuer else None)
            spec["tls"] = [{"hosts": self.hosts, **({"secretName": secret} if secret else {})}]
        return plain_object(scope, "Ingress", "networking.k8s.io/v1", "Ingress", metadata=metadata, spec=spec)

    def _issuer_annotation(self) -> Mapping[str, str]:
        """Source: https://cert-manager.io/docs/usage/ingress/."""
        if not self.issuer:
            return {}
        kind = {"ClusterIssuer": "cluster-issuer", "Issuer": "issuer"}[self.issuer.kind]
        return {f"cert-manager.io/{kind}": self.issuer.name}


def _path(service: str, backend: Backend) -> Mapping[str, object]:
    to = {"service": {"name": service, "port": {"number": backend.port}}}
    return {"path": backend.path, "pathType": "Prefix", "backend": to}

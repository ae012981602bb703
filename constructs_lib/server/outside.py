"""The ways to a server from outside the cluster, and what follows from its host names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cdk8s
from constructs import Construct

from constructs_lib.access.exposure import Exposure
from constructs_lib.access.hosts import Backend, backends
from constructs_lib.access.ingress import IngressOptions, ingress_annotations, render_ingress
from constructs_lib.access.login import Login
from constructs_lib.access.network import NetworkRules
from constructs_lib.access.peers import Peer
from constructs_lib.access.route import RouteOptions, render_route
from constructs_lib.errors import require
from constructs_lib.plus import kplus
from constructs_lib.pods.pod import AimPod
from constructs_lib.registry import Entry, check_free, take
from constructs_lib.server.front import Front
from constructs_lib.server.plan import Plan
from constructs_lib.server.tracking import AimTracking


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The server that is reached.

    Attributes:
        plan: its options.
        place: its namespace, or the chart that has none.
        pod: its pod.
        front: what clients reach.
        web: the container of the web server.
        login: in front of it, where there is one.
        service: its Service.
        rules: its network rules.
        exposure: the ways by which it is reached.
        metadata: makes that of an object by its name and annotations.
    """

    plan: Plan
    place: str
    pod: AimPod
    front: Front
    web: kplus.Container
    login: Login | None
    service: kplus.Service
    rules: NetworkRules
    exposure: Exposure
    metadata: Callable[[str, Mapping[str, str]], cdk8s.ApiObjectMetadata]


class Outside(Construct):
    """Ingress and HTTPRoute of a server.

    Attributes:
        urls: where it is reached, in the order in which it was exposed.
    """

    urls: list[str]

    def __init__(self, scope: Construct, id: str, inside: Inside) -> None:
        """Expose nothing yet."""
        super().__init__(scope, id)
        self.urls = []
        self._inside = inside
        allowed = inside.plan.options.allowed_hosts
        self._answered = [*allowed, *inside.plan.service_hosts] if allowed else []

    def check_ingress(self, options: IngressOptions) -> None:
        """Reject an Ingress that cannot be, or over which a password would be sent in clear text."""
        options.check()
        login = self._inside.plan.options.login
        remedy = (
            "write tlsSecret, issuer or defaultCertificate; or login.allowPlainHttp true, which lets passwords be read"
        )
        require(options.tls or not login or login.allow_plain_http, "tls_secret", None, remedy)
        check_free(self, [self._entry("Ingress")])

    def check_route(self, options: RouteOptions) -> None:
        """Reject a route that cannot be."""
        options.check()
        check_free(self, [self._entry("HTTPRoute")])

    def add_ingress(self, options: IngressOptions, tracking: AimTracking | None) -> cdk8s.ApiObject:
        """Make the Ingress."""
        plan = self._inside.plan
        health = "/ping" if plan.options.login else f"{plan.options.base_path}/"
        annotations = ingress_annotations(options, service=plan.service, health=health)
        made = render_ingress(
            self,
            "Ingress",
            options=options,
            metadata=self._inside.metadata(plan.name, annotations),
            service=plan.service,
            backends=self._backends(tracking),
        )
        self._open("ingress.host", options.hosts, options.from_, people=[options.host], tls=options.tls)
        take(self, [self._entry("Ingress")], owner=self)
        return made

    def add_route(self, options: RouteOptions, tracking: AimTracking | None) -> cdk8s.ApiObject:
        """Make the HTTPRoute."""
        plan, login = self._inside.plan, self._inside.plan.options.login
        made = render_route(
            self,
            "HTTPRoute",
            options=options,
            metadata=self._inside.metadata(plan.name, options.annotations),
            service=plan.service,
            backends=self._backends(tracking),
        )
        tls = not (login and login.allow_plain_http)  # the Gateway has it: the route cannot see
        hosts = options.hostnames
        self._open("route.hostnames", hosts, options.from_, people=hosts, tls=tls)
        take(self, [self._entry("HTTPRoute")], owner=self)
        return made

    def _entry(self, kind: str) -> Entry:
        return Entry(kind=kind, place=self._inside.place, name=self._inside.plan.name, option="name")

    def _backends(self, tracking: AimTracking | None) -> Sequence[Backend]:
        options = self._inside.plan.options
        port = options.service.port
        # from outside, tracking goes through the login, also where it is open to the same namespace
        beside = (tracking.base_path, port if options.login else tracking.port) if tracking else None
        return backends(base_path=options.base_path, port=port, tracking=beside)

    def _open(
        self, option: str, hosts: Sequence[str], peers: Sequence[Peer], *, people: Sequence[str], tls: bool
    ) -> None:
        """Answer to host names, bring people who log in back to theirs, and admit the proxies."""
        inside = self._inside
        inside.exposure.ways += [(option, host) for host in hosts]
        scheme = "https" if tls else "http"
        urls = (f"{scheme}://{host}{inside.plan.options.base_path}/" for host in people)
        self.urls += [url for url in urls if url not in self.urls]
        for host in hosts:
            self._answer_to(host)
        for host in people if inside.login else ():
            assert inside.login
            inside.login.add_host(host, tls=tls)
        for index, peer in enumerate(peers):
            inside.rules.allow_from(inside.front.port, [peer.render(self, f"{option}-{index}")])

    def _answer_to(self, host: str) -> None:
        """Add a host name to those that the server answers to; with the first, those of the Service, too."""
        names = [host] if self._answered else [host, *self._inside.plan.service_hosts]
        for name in (name for name in names if name not in self._answered):
            self._answered.append(name)
            for word in ("--allow-host", name):
                self._inside.pod.set(self._inside.web, {"command/-": word})

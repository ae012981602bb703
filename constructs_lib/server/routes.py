"""Ingress and HTTPRoute of a server, and what follows from their host names."""

from __future__ import annotations

from collections.abc import Sequence

import cdk8s
from constructs import Construct

from constructs_lib.access.backend_config import BACKEND_CONFIG, annotate_service, render_backend_config
from constructs_lib.access.hosts import Backend, backends
from constructs_lib.access.ingress import IngressOptions
from constructs_lib.access.peers import Peer
from constructs_lib.access.route import RouteOptions
from constructs_lib.errors import require, require_type
from constructs_lib.registry import Entry, check_free, take
from constructs_lib.server.parts import ServerParts
from constructs_lib.server.plan import check_exposure
from constructs_lib.server.tracking import AimTracking


class Routes(Construct):
    """Ingress and HTTPRoute of a server.

    Attributes:
        urls: where people open the server, in the order in which it was exposed.
    """

    urls: list[str]

    def __init__(self, scope: Construct, id: str, server: ServerParts) -> None:
        """Expose nothing yet."""
        super().__init__(scope, id)
        self.urls = []
        self._server = server
        allowed = server.plan.options.allowed_hosts
        self._answered = [*allowed, *server.plan.service_hosts] if allowed else []

    def check_ingress(self, options: IngressOptions) -> None:
        """Reject an Ingress with faulty options, a second one, one that nobody allowed, or passwords in clear text."""
        require_type("", options, IngressOptions, 'write IngressOptions(host="...")')
        options.check()
        check_exposure(self._server.plan.options, "host", options.host)
        login = self._server.plan.options.login
        remedy = (
            "write tls_secret, issuer or default_certificate; or login.allow_plain_http, so that passwords are read"
        )
        require(options.tls or not login or login.allow_plain_http, "tls_secret", None, remedy)
        check_free(self, self._entries("Ingress"))

    def check_route(self, options: RouteOptions) -> None:
        """Reject a route with faulty options, a second one, or one that nobody allowed."""
        require_type("", options, RouteOptions, "write RouteOptions(hostnames=[...], parents=[...])")
        options.check()
        check_exposure(self._server.plan.options, "hostnames", list(options.hostnames))
        check_free(self, self._entries("HTTPRoute"))

    def add_ingress(self, options: IngressOptions, tracking: AimTracking | None) -> cdk8s.ApiObject:
        """Make the Ingress, and what its controller wants beside it."""
        server, plan, backends = self._server, self._server.plan, self._backends(tracking)
        health = "/ping" if plan.options.login else f"{plan.options.base_path}/"
        annotations = options.annotations_for(service=plan.service, backends=backends, health=health)
        metadata = server.metadata(plan.name, annotations)
        made = options.render(self, metadata=metadata, service=plan.service, backends=backends)
        if options.controller == "GCE":
            self._add_backend_config()
        self._open(options.hosts, options.proxies, people=[options.host], tls=options.tls)
        take(self, self._entries("Ingress"), owner=self)
        return made

    def add_route(self, options: RouteOptions, tracking: AimTracking | None) -> cdk8s.ApiObject:
        """Make the HTTPRoute."""
        server, plan, login = self._server, self._server.plan, self._server.plan.options.login
        metadata = server.metadata(plan.name, options.annotations)
        made = options.render(self, metadata=metadata, service=plan.service, backends=self._backends(tracking))
        tls = not (login and login.allow_plain_http)  # the Gateway has it: the route cannot see
        hosts = options.hostnames
        self._open(hosts, options.from_, people=hosts, tls=tls)
        take(self, self._entries("HTTPRoute"), owner=self)
        return made

    def _add_backend_config(self) -> None:
        server, plan = self._server, self._server.plan
        port = server.front.port if plan.options.login else None
        render_backend_config(self, metadata=server.metadata(plan.name, {}), login_port=port)
        annotate_service(server.service, plan.name, own=plan.options.service.annotations)
        take(self, self._entries(BACKEND_CONFIG), owner=self)

    def _entries(self, kind: str) -> list[Entry]:
        taken = f"leave it out: a server has one {kind}, and this is the second"
        return [Entry(kind=kind, place=self._server.place, name=self._server.plan.name, option="", taken=taken)]

    def _backends(self, tracking: AimTracking | None) -> Sequence[Backend]:
        options = self._server.plan.options
        port = options.service.port
        # from outside, tracking goes through the login, also where it is open to the same namespace
        tracked = (tracking.base_path, port if options.login else tracking.port) if tracking else None
        return backends(base_path=options.base_path, port=port, tracking=tracked)

    def _open(self, hosts: Sequence[str], proxies: Sequence[Peer], *, people: Sequence[str], tls: bool) -> None:
        """Answer to host names, bring people who log in back to theirs, and admit the proxies."""
        server = self._server
        scheme = "https" if tls else "http"
        urls = (f"{scheme}://{host}{server.plan.options.base_path}/" for host in people)
        self.urls += [url for url in urls if url not in self.urls]
        for host in hosts:
            self._answer_to(host)
        for host in people if server.login else ():
            assert server.login
            server.login.add_host(host, tls=tls)
        if proxies:
            server.rules.admit(server.front.port, proxies)

    def _answer_to(self, host: str) -> None:
        """Add a host name to those that the server answers to; with the first, those of the Service, too."""
        names = [host] if self._answered else [host, *self._server.plan.service_hosts]
        for name in (name for name in names if name not in self._answered):
            self._answered.append(name)
            for word in ("--allow-host", name):
                self._server.containers.pod.set(self._server.web, {"command/-": word})

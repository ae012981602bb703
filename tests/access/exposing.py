"""Servers to expose, and the shortest Ingress."""

from __future__ import annotations

from typing import Any

import cdk8s

from constructs_lib import AimServer, IngressOptions
from tests.harness.building import aim_server, dynamic
from tests.harness.logins import by_password


def serve(chart: cdk8s.Chart, **options: Any) -> AimServer:
    """A server with a login, unless the options say otherwise."""
    return aim_server(chart, "server", storage=dynamic(chart), **{"login": by_password(), **options})


def ingress(**options: Any) -> IngressOptions:
    """An Ingress with TLS."""
    return IngressOptions(**{"host": "aim.example.com", "tls_secret": "certificate", **options})

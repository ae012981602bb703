"""What the load balancer of Google wants: an object of its own, a BackendConfig, which the Service names.

Sources: https://cloud.google.com/kubernetes-engine/docs/how-to/ingress-configuration and the types in
https://github.com/kubernetes/ingress-gce/blob/master/pkg/apis/backendconfig/v1/types.go
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import cdk8s
from constructs import Construct

from constructs_lib.plus import kplus, plain_object

BACKEND_CONFIG = "BackendConfig"
"""Its kind."""

_SECONDS = 86_400
"""How long a request may take, 30 s without; and how long a WebSocket lives at most, whether it is idle or not."""


def render_backend_config(
    scope: Construct, *, metadata: cdk8s.ApiObjectMetadata, login_port: int | None
) -> cdk8s.ApiObject:
    """Make the BackendConfig.

    Args:
        scope: where it is made.
        metadata: of it.
        login_port: port of the login in the pod: without a login, Google's health checks ask for `/`.
    """
    spec: dict[str, object] = {"timeoutSec": _SECONDS}
    if login_port:
        spec["healthCheck"] = {"type": "HTTP", "requestPath": "/ping", "port": login_port}
    return plain_object(scope, BACKEND_CONFIG, "cloud.google.com/v1", BACKEND_CONFIG, metadata=metadata, spec=spec)


def annotate_service(service: kplus.Service, backend_config: str, *, own: Mapping[str, str]) -> None:
    """Have a Service name its BackendConfig, and its pods be asked directly: it has no port on the nodes.

    Args:
        service: of the server.
        backend_config: name.
        own: annotations of the Service's user, which win.
    """
    wanted = {
        "cloud.google.com/backend-config": json.dumps({"default": backend_config}),
        "cloud.google.com/neg": json.dumps({"ingress": True}),
    }
    for name in wanted.keys() - own.keys():
        service.metadata.add_annotation(name, wanted[name])

"""What Ingress controllers have to be told: searches of minutes, streams, bodies beyond 1 MB and WebSockets are usual.

Only what a controller's own documentation says, for the controllers that it says it of. Traefik needs none: it has no
limit for answers, buffers nothing, and passes on WebSockets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Controller = Literal["ALB", "Contour", "HAProxy", "IngressNginx", "NginxInc", "Traefik"]
"""A controller by its name."""


def annotations_for(controller: Controller | None, service: str, health: str) -> Mapping[str, str]:
    """Annotations of an Ingress for its controller.

    Args:
        controller: None for one that is not known here.
        service: name of the Service behind.
        health: a path that answers 200 to who is not logged in.
    """
    return {**_ANNOTATIONS.get(controller or "", {}), **_of_service(controller, service, health)}


def is_known(controller: str) -> bool:
    """Whether a controller is one of the names."""
    return controller in get_args(Controller)


_ANNOTATIONS: Mapping[str, Mapping[str, str]] = {
    # https://projectcontour.io/docs/main/config/annotations/: Envoy ends an answer after 15 s
    "Contour": {"projectcontour.io/response-timeout": "infinity", "projectcontour.io/websocket-routes": "/"},
    # https://github.com/haproxytech/kubernetes-ingress/blob/master/documentation/annotations.md
    "HAProxy": {"haproxy.org/timeout-server": "1h"},
    # https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/
    "IngressNginx": {
        "nginx.ingress.kubernetes.io/proxy-body-size": "0",
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "3600",
    },
    # https://docs.nginx.com/nginx-ingress-controller/configuration/ingress-resources/advanced-configuration-with-annotations/
    "NginxInc": {
        "nginx.org/client-max-body-size": "0",
        "nginx.org/proxy-buffering": "False",
        "nginx.org/proxy-read-timeout": "3600s",
        "nginx.org/proxy-send-timeout": "3600s",
    },
}


def _of_service(controller: Controller | None, service: str, health: str) -> Mapping[str, str]:
    if controller == "NginxInc":
        return {"nginx.org/websocket-services": service}
    if controller == "ALB":
        # https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/
        return {
            "alb.ingress.kubernetes.io/healthcheck-path": health,
            "alb.ingress.kubernetes.io/load-balancer-attributes": "idle_timeout.timeout_seconds=3600",
            # to the pod itself: a ClusterIP Service has no port on the nodes
            "alb.ingress.kubernetes.io/target-type": "ip",
        }
    return {}

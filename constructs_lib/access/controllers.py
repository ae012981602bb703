"""What is known of Ingress controllers: the annotations that Aim needs, and where their proxies run.

Aim's searches take minutes, its answers are streams, uploads are beyond 1 MB, and tracking uses WebSockets. Each entry
of the table names the controller's own documentation or manifests; what those do not say is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from constructs_lib.access.peers import IpBlock, Peer, Selector

Controller = Literal["ALB", "Contour", "GCE", "HAProxy", "IngressNginx", "NginxInc", "Traefik"]
"""A controller by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerFacts:
    """What is known of a controller.

    Attributes:
        annotations: of the Ingress; `{service}` stands for the name of its Service, `{paths}` for its paths, and
            `{health}` for a path that answers 200 without a login.
        proxies: its proxies in its own default installation; none where that does not make them certain.
    """

    annotations: Mapping[str, str] = field(default_factory=dict)
    proxies: tuple[Peer, ...] = ()

    def annotations_for(self, **ingress: str) -> Mapping[str, str]:
        """Annotations of an Ingress, by what stands for something in them."""
        return {name: value.format(**ingress) for name, value in self.annotations.items()}


def facts_of(controller: Controller | None) -> ControllerFacts:
    """What is known of a controller; nothing of one that is not named."""
    return _FACTS[controller] if controller else ControllerFacts()


def _pods(namespace: str, **labels: str) -> Peer:
    named = {name.replace("__", "/").replace("_", "."): value for name, value in labels.items()}
    return Peer(
        # a label that the API server gives every namespace, and nobody can change
        namespace_selector=Selector(match_labels={"kubernetes.io/metadata.name": namespace}),
        pod_selector=Selector(match_labels=named),
    )


_FACTS: Mapping[Controller, ControllerFacts] = {
    # https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/
    # its proxies are outside of the cluster, in subnets of the user's
    "ALB": ControllerFacts(
        annotations={
            "alb.ingress.kubernetes.io/healthcheck-path": "{health}",
            # from 1 to 4000 s
            "alb.ingress.kubernetes.io/load-balancer-attributes": "idle_timeout.timeout_seconds=3600",
            # to the pod itself: a ClusterIP Service has no port on the nodes
            "alb.ingress.kubernetes.io/target-type": "ip",
        },
    ),
    # https://projectcontour.io/docs/main/config/annotations/: Envoy ends an answer after 15 s
    # https://projectcontour.io/quickstart/contour.yaml
    "Contour": ControllerFacts(
        annotations={"projectcontour.io/response-timeout": "infinity", "projectcontour.io/websocket-routes": "{paths}"},
        proxies=(_pods("projectcontour", app="envoy"),),
    ),
    # time-out and health check are in an object of their own, a BackendConfig
    # https://cloud.google.com/load-balancing/docs/firewall-rules: where Google's proxies and health checks come from
    "GCE": ControllerFacts(
        proxies=tuple(Peer(ip_block=IpBlock(cidr=cidr)) for cidr in ("35.191.0.0/16", "130.211.0.0/22")),
    ),
    # https://github.com/haproxytech/kubernetes-ingress/blob/master/documentation/annotations.md: 50 s without
    # https://github.com/haproxytech/kubernetes-ingress/blob/master/deploy/haproxy-ingress.yaml
    "HAProxy": ControllerFacts(
        annotations={"haproxy.org/timeout-server": "1h"},
        proxies=(_pods("haproxy-controller", run="haproxy-ingress"),),
    ),
    # https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/
    # https://github.com/kubernetes/ingress-nginx/blob/main/deploy/static/provider/cloud/deploy.yaml
    "IngressNginx": ControllerFacts(
        annotations={
            "nginx.ingress.kubernetes.io/proxy-body-size": "0",
            "nginx.ingress.kubernetes.io/proxy-buffering": "off",
            "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
            "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
            "nginx.ingress.kubernetes.io/proxy-send-timeout": "3600",
        },
        proxies=(
            _pods(
                "ingress-nginx",
                app_kubernetes_io__name="ingress-nginx",
                app_kubernetes_io__component="controller",
            ),
        ),
    ),
    # https://docs.nginx.com/nginx-ingress-controller/configuration/ingress-resources/advanced-configuration-with-annotations/
    # https://github.com/nginx/kubernetes-ingress/blob/main/deployments/deployment/nginx-ingress.yaml
    "NginxInc": ControllerFacts(
        annotations={
            "nginx.org/client-max-body-size": "0",
            "nginx.org/proxy-buffering": "False",
            "nginx.org/proxy-read-timeout": "3600s",
            "nginx.org/proxy-send-timeout": "3600s",
            "nginx.org/websocket-services": "{service}",
        },
        proxies=(_pods("nginx-ingress", app_kubernetes_io__name="nginx-ingress"),),
    ),
    # needs no annotation: it has no limit for answers, buffers nothing, and passes on WebSockets
    # https://doc.traefik.io/traefik/setup/kubernetes/ installs into `traefik`, K3s into `kube-system`
    # https://github.com/traefik/traefik-helm-chart/blob/master/traefik/templates/_helpers.tpl
    "Traefik": ControllerFacts(
        proxies=tuple(_pods(namespace, app_kubernetes_io__name="traefik") for namespace in ("traefik", "kube-system")),
    ),
}

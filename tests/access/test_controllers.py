"""What an Ingress has for the controller that is named."""

from __future__ import annotations

import json
from typing import Any

import cdk8s
import pytest

from constructs_lib import IpBlock, Peer, ServiceOptions, TrackingOptions
from tests.access.exposing import ingress, serve
from tests.harness.building import rendered

NGINX = "nginx.ingress.kubernetes.io"
ANNOTATIONS: dict[Any, dict[str, str]] = {
    None: {},
    "ALB": {
        "alb.ingress.kubernetes.io/healthcheck-path": "/ping",
        "alb.ingress.kubernetes.io/load-balancer-attributes": "idle_timeout.timeout_seconds=3600",
        "alb.ingress.kubernetes.io/target-type": "ip",
    },
    "Contour": {
        "projectcontour.io/response-timeout": "infinity",
        "projectcontour.io/websocket-routes": "/track,/aim",
    },
    "GCE": {},
    "HAProxy": {"haproxy.org/timeout-server": "1h"},
    "IngressNginx": {
        f"{NGINX}/proxy-body-size": "0",
        f"{NGINX}/proxy-buffering": "off",
        f"{NGINX}/proxy-read-timeout": "3600",
        f"{NGINX}/proxy-request-buffering": "off",
        f"{NGINX}/proxy-send-timeout": "3600",
    },
    "NginxInc": {
        "nginx.org/client-max-body-size": "0",
        "nginx.org/proxy-buffering": "False",
        "nginx.org/proxy-read-timeout": "3600s",
        "nginx.org/proxy-send-timeout": "3600s",
        "nginx.org/websocket-services": "aim",
    },
    "Traefik": {},
}


@pytest.mark.parametrize("controller", ANNOTATIONS, ids=str)
def test_controllers_are_told_what_aim_needs(chart: cdk8s.Chart, controller: Any) -> None:
    """In their own annotations, and of each path; one that needs nothing, or is not named, is told nothing."""
    server = serve(chart, base_path="/aim")
    server.add_tracking(TrackingOptions(base_path="/track"))
    server.expose_via_ingress(ingress(controller=controller))
    assert rendered(chart, "Ingress")["metadata"].get("annotations", {}) == ANNOTATIONS[controller]


def test_a_users_annotation_wins(chart: cdk8s.Chart) -> None:
    """Over that of the controller, which is there besides."""
    serve(chart).expose_via_ingress(
        ingress(controller="Contour", annotations={"projectcontour.io/response-timeout": "1h"})
    )
    annotations = rendered(chart, "Ingress")["metadata"]["annotations"]
    assert annotations == {"projectcontour.io/response-timeout": "1h", "projectcontour.io/websocket-routes": "/"}


def of_pods(namespace: str, **labels: str) -> dict[str, Any]:
    """A peer of a rule; `_` in the name of a label is `/`."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": {name.replace("_", "/"): value for name, value in labels.items()}},
    }


LABEL = {"app.kubernetes.io_name": "traefik"}
ADMITTED: dict[Any, list[dict[str, Any]]] = {
    None: [],
    "ALB": [],
    "Contour": [of_pods("projectcontour", app="envoy")],
    "GCE": [{"ipBlock": {"cidr": "35.191.0.0/16"}}, {"ipBlock": {"cidr": "130.211.0.0/22"}}],
    "HAProxy": [of_pods("haproxy-controller", run="haproxy-ingress")],
    "IngressNginx": [
        of_pods(
            "ingress-nginx",
            **{"app.kubernetes.io_name": "ingress-nginx", "app.kubernetes.io_component": "controller"},
        )
    ],
    "NginxInc": [of_pods("nginx-ingress", **{"app.kubernetes.io_name": "nginx-ingress"})],
    "Traefik": [of_pods("traefik", **LABEL), of_pods("kube-system", **LABEL)],
}


@pytest.mark.parametrize("controller", ADMITTED, ids=str)
def test_the_controller_that_is_named_is_admitted(chart: cdk8s.Chart, controller: Any) -> None:
    """Where its own installation puts it, and nobody else; where that is not certain, nobody."""
    serve(chart).expose_via_ingress(ingress(controller=controller))
    rules = rendered(chart, "NetworkPolicy")["spec"]["ingress"]
    assert [rule["from"] for rule in rules] == [[{"podSelector": {}}], *([peer] for peer in ADMITTED[controller])]
    assert {port["port"] for rule in rules for port in rule["ports"]} == {4180}


def test_proxies_that_are_named_replace_those_of_the_controller(chart: cdk8s.Chart) -> None:
    """One in a namespace of its own is admitted, and not another of the usual place."""
    serve(chart).expose_via_ingress(ingress(controller="Contour", from_=[Peer(ip_block=IpBlock(cidr="10.1.0.0/16"))]))
    rules = rendered(chart, "NetworkPolicy")["spec"]["ingress"]
    assert [rule["from"] for rule in rules] == [[{"podSelector": {}}], [{"ipBlock": {"cidr": "10.1.0.0/16"}}]]


def test_the_load_balancer_of_google_has_a_backend_config(chart: cdk8s.Chart) -> None:
    """Which the Service names: a request may take long, and the health check asks what needs no login."""
    serve(chart).expose_via_ingress(ingress(controller="GCE"))
    made = rendered(chart, "BackendConfig")
    check = {"type": "HTTP", "requestPath": "/ping", "port": 4180}
    assert (made["metadata"]["name"], made["spec"]) == ("aim", {"timeoutSec": 86400, "healthCheck": check})
    annotations = rendered(chart, "Service")["metadata"]["annotations"]
    assert json.loads(annotations["cloud.google.com/backend-config"]) == {"default": "aim"}
    assert json.loads(annotations["cloud.google.com/neg"]) == {"ingress": True}


def test_without_a_login_google_asks_for_the_page(chart: cdk8s.Chart) -> None:
    """Its own health check does; and annotations of the Service that the user has written stay."""
    own = ServiceOptions(annotations={"cloud.google.com/backend-config": '{"default": "own"}'})
    serve(chart, login=None, allow_anonymous=True, service=own).expose_via_ingress(ingress(controller="GCE"))
    assert rendered(chart, "BackendConfig")["spec"] == {"timeoutSec": 86400}
    assert "own" in rendered(chart, "Service")["metadata"]["annotations"]["cloud.google.com/backend-config"]

"""Ingress and HTTPRoute."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import cdk8s
import jsonschema
import pytest
import yaml

from constructs_lib import (
    IpBlock,
    IssuerRef,
    KeyRef,
    OptionError,
    ParentRef,
    Peer,
    RouteOptions,
    Selector,
    TrackingOptions,
)
from constructs_lib.access.hosts import Backend, backends
from tests.access.exposing import ingress, serve
from tests.harness.building import rendered
from tests.harness.go_tools import need
from tests.harness.logins import by_password
from tests.harness.manifest_rules import pod_template

GATEWAY_API = "sigs.k8s.io/gateway-api@v1.6.3"


def route(**options: Any) -> RouteOptions:
    """A route of one Gateway."""
    return RouteOptions(**{"hostnames": ["aim.example.com"], "parents": [ParentRef(name="gateway")], **options})


def allowed(chart: cdk8s.Chart) -> list[str]:
    """Host names that Aim answers to."""
    template = pod_template(rendered(chart, "Deployment"))
    assert template
    command = template["spec"]["containers"][0]["command"]
    return [after for word, after in itertools.pairwise(command) if word == "--allow-host"]


BACKENDS: list[tuple[dict[str, Any], list[tuple[str, int]]]] = [
    ({"base_path": "", "port": 80}, [("/", 80)]),
    ({"base_path": "/aim", "port": 80}, [("/aim", 80)]),
    ({"base_path": "", "port": 80, "tracking": ("", 80)}, [("/", 80)]),
    (
        {"base_path": "", "port": 80, "tracking": ("", 53800)},
        [("/tracking", 53800), ("/client", 53800), ("/status", 53800), ("/", 80)],
    ),
    ({"base_path": "/aim", "port": 80, "tracking": ("/track", 80)}, [("/track", 80), ("/aim", 80)]),
    ({"base_path": "/aim", "port": 80, "tracking": ("/aim/track", 80)}, [("/aim", 80)]),
    ({"base_path": "/aim", "port": 80, "tracking": ("/aim/track", 53800)}, [("/aim/track", 53800), ("/aim", 80)]),
    (
        {"base_path": "/aim", "port": 80, "tracking": ("/aim", 53800)},
        [("/aim/tracking", 53800), ("/aim/client", 53800), ("/aim/status", 53800), ("/aim", 80)],
    ),
]


@pytest.mark.parametrize(("server", "expected"), BACKENDS)
def test_paths_lead_to_the_ports(server: dict[str, Any], expected: list[tuple[str, int]]) -> None:
    """The longest comes first, and none is said twice."""
    assert backends(**server) == [Backend(path=path, port=port) for path, port in expected]


def test_an_ingress(chart: cdk8s.Chart) -> None:
    """It has host names, paths and a certificate; the server answers to its names and those of its Service."""
    server = serve(chart, base_path="/aim")
    server.add_tracking(TrackingOptions(base_path="/track"))
    server.expose_via_ingress(ingress(class_name="traefik", tracking_host="track.example.com"))
    backend = {"service": {"name": "aim", "port": {"number": 80}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": backend} for path in ("/track", "/aim")]
    hosts = ["aim.example.com", "track.example.com"]
    assert rendered(chart, "Ingress")["spec"] == {
        "ingressClassName": "traefik",
        "rules": [{"host": host, "http": {"paths": paths}} for host in hosts],
        "tls": [{"hosts": hosts, "secretName": "certificate"}],
    }
    services = ["aim", "aim.ml", "aim.ml.svc", "aim.ml.svc.cluster.local"]
    assert allowed(chart) == ["aim.example.com", *services, "track.example.com"]
    assert server.public_urls == ("https://aim.example.com/aim/",)


@pytest.mark.parametrize(
    ("options", "annotations", "tls"),
    [
        ({"tls_secret": None, "default_certificate": True}, None, {}),
        (
            {"tls_secret": None, "issuer": IssuerRef(name="acme")},
            {"cert-manager.io/cluster-issuer": "acme"},
            {"secretName": "aim-tls"},
        ),
        (
            {"issuer": IssuerRef(name="a", kind="Issuer")},
            {"cert-manager.io/issuer": "a"},
            {"secretName": "certificate"},
        ),
    ],
)
def test_certificates(
    chart: cdk8s.Chart, options: dict[str, Any], annotations: dict[str, str] | None, tls: dict[str, str]
) -> None:
    """A Secret, cert-manager, or what the controller has."""
    serve(chart).expose_via_ingress(ingress(**options))
    made = rendered(chart, "Ingress")
    assert made["metadata"].get("annotations") == annotations
    assert made["spec"]["tls"] == [{"hosts": ["aim.example.com"], **tls}]


def test_the_rules_admit_the_proxies_that_are_named(chart: cdk8s.Chart) -> None:
    """And beside them the pods of the same namespace, who need credentials, too."""
    traefik = Peer(
        namespace_selector=Selector(match_labels={"kubernetes.io/metadata.name": "traefik"}),
        pod_selector=Selector(match_labels={"app.kubernetes.io/name": "traefik"}),
    )
    server = serve(chart)
    server.expose_via_ingress(ingress(from_=[traefik]))
    server.expose_via_route(route(from_=[Peer(ip_block=IpBlock(cidr="10.1.0.0/16"))]))
    rules = rendered(chart, "NetworkPolicy")["spec"]["ingress"]
    assert [rule["from"] for rule in rules] == [
        [{"podSelector": {}}],
        [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}},
                "podSelector": {"matchLabels": {"app.kubernetes.io/name": "traefik"}},
            }
        ],
        [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
    ]
    assert {port["port"] for rule in rules for port in rule["ports"]} == {4180}


def test_without_a_login_tracking_has_its_own_port(chart: cdk8s.Chart) -> None:
    """A proxy in front leads each path to the port that answers it."""
    server = serve(chart, login=None, allow_anonymous=True)
    server.add_tracking()
    server.expose_via_route(route())
    rules = rendered(chart, "HTTPRoute")["spec"]["rules"]
    found = {rule["matches"][0]["path"]["value"]: rule["backendRefs"][0]["port"] for rule in rules}
    assert found == {"/": 80, "/client": 53800, "/tracking": 53800, "/status": 53800}


@pytest.mark.parametrize("way", ["ingress", "route"])
def test_without_a_login_no_way_is_opened(tree: cdk8s.App, chart: cdk8s.Chart, way: str) -> None:
    """The call is refused with both ways out named, and the server stays as it was."""
    server = serve(chart, login=None)
    with pytest.raises(
        OptionError, match=rf"server: {way}\.host.*: .*aim.example.com.*: write login, .*; or allow_anon"
    ):
        server.expose_via_ingress(ingress()) if way == "ingress" else server.expose_via_route(route())
    tree.synth()
    assert server.public_urls == ()
    assert allowed(chart) == []


def test_a_login_over_plain_http_is_refused(chart: cdk8s.Chart) -> None:
    """Unless it is meant."""
    with pytest.raises(
        OptionError, match="ingress.tls_secret: None: write tls_secret, issuer or default_certificate; or"
    ):
        serve(chart).expose_via_ingress(ingress(tls_secret=None))


def test_a_login_over_plain_http_that_is_meant(chart: cdk8s.Chart) -> None:
    """Cookies are sent over it then."""
    server = serve(chart, login=by_password(allow_plain_http=True))
    server.expose_via_ingress(ingress(tls_secret=None))
    assert "tls" not in rendered(chart, "Ingress")["spec"]
    template = pod_template(rendered(chart, "Deployment"))
    assert template
    assert "--cookie-secure=false" in template["spec"]["containers"][1]["args"]
    assert server.public_urls == ("http://aim.example.com/",)


REFUSED = [
    ("ingress.host: 'AIM'", {"host": "AIM"}),
    ("ingress.host: 'aim': write a whole", {"host": "aim"}),
    ("ingress.host: '10.0.0.1'", {"host": "10.0.0.1"}),
    (r"ingress.host: '\*.example.com'", {"host": "*.example.com"}),
    ("ingress.controller: 'Apache': write ALB", {"controller": "Apache"}),
    ("ingress.default_certificate: True: leave it out", {"default_certificate": True}),
    (r"ingress.from_\[0\]: 'none': write exactly one of namespace_selector, ip_block", {"from_": [Peer()]}),
    ("ingress.tls_secret: KeyRef.*: write a text", {"tls_secret": KeyRef(name="a", key="b")}),
    ("ingress.issuer: 'a str': write an IssuerRef", {"issuer": "letsencrypt"}),
    ("ingress.annotations: 'a': write a mapping", {"annotations": "a"}),
    ("ingress.issuer.name: 'A'", {"issuer": IssuerRef(name="A")}),
    ("route.hostnames: .*: write at least one", {"hostnames": []}),
    ("route.parents: .*: write at least one", {"parents": []}),
    (r"route.parents\[0\].port: 0", {"parents": [ParentRef(name="a", port=0)]}),
]


@pytest.mark.parametrize(("message", "options"), REFUSED)
def test_what_cannot_work_is_refused(chart: cdk8s.Chart, message: str, options: dict[str, Any]) -> None:
    """Each names its option."""
    server = serve(chart)
    expose = {
        "ingress": lambda: server.expose_via_ingress(ingress(**options)),
        "route": lambda: server.expose_via_route(route(**options)),
    }
    with pytest.raises(OptionError, match=message):
        expose[message.partition(".")[0]]()


def test_options_of_the_other_way_are_refused(chart: cdk8s.Chart) -> None:
    """And what is no options at all."""
    server = serve(chart)
    with pytest.raises(OptionError, match="chart/server: ingress: 'a RouteOptions': write IngressOptions"):
        server.expose_via_ingress(route())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="chart/server: route: 'aim.example.com': write RouteOptions"):
        server.expose_via_route("aim.example.com")  # type: ignore[arg-type]


def test_a_second_one_is_refused(chart: cdk8s.Chart) -> None:
    """It would have the name of the first."""
    server = serve(chart)
    server.expose_via_ingress(ingress())
    with pytest.raises(OptionError, match="server: ingress: 'Ingress ml/aim': leave it out: a server has one Ingress"):
        server.expose_via_ingress(ingress())


def test_a_server_of_a_test_app_is_exposed() -> None:
    """What a tree has once is found all the same, though jsii gives out another object for such an app."""
    server = serve(cdk8s.Chart(cdk8s.Testing.app(), "chart", namespace="ml"))
    server.expose_via_ingress(ingress())
    with pytest.raises(OptionError, match="a server has one Ingress"):
        server.expose_via_ingress(ingress())


def test_tracking_comes_before_an_exposure(chart: cdk8s.Chart) -> None:
    """An Ingress that is made already would not lead to it."""
    server = serve(chart)
    server.expose_via_route(route())
    with pytest.raises(OptionError, match="tracking.*: call add_tracking\\(\\) before"):
        server.add_tracking()


def definition() -> Any:
    """The schema of an HTTPRoute, from the Gateway API's own definition."""
    need("go")
    done = subprocess.run(["go", "mod", "download", "-json", GATEWAY_API], check=True, capture_output=True, text=True)
    file = Path(json.loads(done.stdout)["Dir"], "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml")
    versions = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]["versions"]
    (found,) = [each["schema"]["openAPIV3Schema"] for each in versions if each["name"] == "v1"]
    return _strict(found)


def _strict(schema: Any) -> Any:
    """The same, refusing fields that it does not know."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made["additionalProperties"] = False
    return made


def test_the_route_is_one_by_the_gateway_apis_definition(chart: cdk8s.Chart) -> None:
    """Every field is known, and has a value that it may have; no answer is cut off after the Gateway's own time."""
    server = serve(chart, base_path="/aim")
    server.add_tracking(TrackingOptions(base_path="/track"))
    parent = ParentRef(name="gateway", namespace="gateways", section_name="https", port=443)
    server.expose_via_route(route(parents=[parent], annotations={"note": "x"}))
    made = rendered(chart, "HTTPRoute")
    schema = definition()
    schema["properties"]["metadata"] = {"type": "object"}
    jsonschema.validate(made, schema)
    assert [rule["timeouts"] for rule in made["spec"]["rules"]] == [{"request": "0s"}] * 2
    made["spec"]["rules"][0]["timeouts"] = {"request": "for ever"}
    with pytest.raises(jsonschema.ValidationError, match="for ever"):
        jsonschema.validate(made, schema)

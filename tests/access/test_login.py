"""The login, as it is rendered; `test_logging_in.py` runs it."""

from __future__ import annotations

from typing import Any

import cdk8s
import pytest
from syrupy.assertion import SnapshotAssertion

from constructs_lib import (
    Destination,
    IngressOptions,
    IpBlock,
    KeyRef,
    LoginOptions,
    OidcOptions,
    OptionError,
    ParentRef,
    RouteOptions,
    ServiceOptions,
    TrackingOptions,
)
from constructs_lib.plus import kplus
from tests.harness.building import aim_server, dynamic, rendered
from tests.harness.logins import by_password, by_provider, oidc
from tests.harness.manifest_rules import pod_template, problems


def containers(chart: cdk8s.Chart) -> dict[str, Any]:
    """The containers of the server, by their names."""
    template = pod_template(rendered(chart, "Deployment"))
    assert template
    return {each["name"]: each for each in template["spec"]["containers"]}


def arguments(chart: cdk8s.Chart) -> list[str]:
    """What the login is told."""
    found: list[str] = containers(chart)["login"]["args"]
    return found


def test_provider(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """A provider logs people in; Aim is reached through the login only."""
    aim_server(chart, "server", storage=dynamic(chart), login=by_provider())
    assert chart == difference


def test_passwords_and_tracking(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """Passwords have a page that offers no provider; machines come by the same port, with a base path of their own."""
    server = aim_server(chart, "server", storage=dynamic(chart), login=by_password(), base_path="/aim")
    server.add_tracking(TrackingOptions(base_path="/track"))
    assert chart == difference


def test_a_server_with_a_login_holds_together(chart: cdk8s.Chart) -> None:
    """Its pod is admitted, its Service and rules lead to ports that it has, and its ConfigMaps come before it."""
    server = aim_server(chart, "server", storage=dynamic(chart), login=by_password(oidc=oidc(emails=["a@b.c"])))
    server.add_tracking()
    assert problems(cdk8s.Testing.synth(chart)) == []


def test_nothing_leads_past_the_login(chart: cdk8s.Chart) -> None:
    """Both servers listen on the loopback, and neither Service nor network rule knows another port than the login's."""
    server = aim_server(chart, "server", storage=dynamic(chart), login=by_provider(), service=ServiceOptions(port=8080))
    server.add_tracking()
    for name in ("aim", "tracking"):
        assert "--host 127.0.0.1" in " ".join(containers(chart)[name]["command"])
    assert {port["targetPort"] for port in rendered(chart, "Service")["spec"]["ports"]} == {4180}
    rules = rendered(chart, "NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for rule in rules for port in rule["ports"]} == {4180}


def test_no_request_is_excepted_from_the_login(chart: cdk8s.Chart) -> None:
    """With one that is, X-Forwarded-Uri would choose any (oauth2-proxy #3506); nor is any address trusted."""
    server = aim_server(chart, "server", storage=dynamic(chart), login=by_provider(trusted_proxies=["10.0.0.0/8"]))
    server.add_tracking()
    assert [each for each in arguments(chart) if each.startswith(("--skip-auth", "--trusted-ip", "--skip-jwt"))] == []
    assert "--trusted-proxy-ip=10.0.0.0/8" in arguments(chart)


def test_forwarded_headers_count_from_trusted_proxies_only(chart: cdk8s.Chart) -> None:
    """By default from nobody."""
    aim_server(chart, "server", storage=dynamic(chart), login=by_provider())
    assert not [each for each in arguments(chart) if "reverse-proxy" in each or "trusted" in each]


def test_aim_cannot_read_the_secrets_of_the_login(chart: cdk8s.Chart) -> None:
    """They are mounted there alone, as files, and its user is another one: with tracking, processes see each other."""
    aim_server(chart, "server", storage=dynamic(chart), login=by_password())
    found = containers(chart)
    assert found["login"]["securityContext"]["runAsUser"] == 65532
    assert not [mount for mount in found["aim"]["volumeMounts"] if mount["name"].startswith("login")]
    assert not [mount for mount in found["login"]["volumeMounts"] if "subPath" in mount]
    assert "env" not in found["login"]


def test_a_cluster_that_assigns_users_assigns_the_logins(chart: cdk8s.Chart) -> None:
    """OpenShift refuses one that is not of its own choice."""
    aim_server(chart, "server", storage=dynamic(chart, owner="ClusterAssigned"), login=by_password())
    assert "runAsUser" not in containers(chart)["login"]["securityContext"]


def test_tokens_are_of_a_group_where_one_is_demanded(chart: cdk8s.Chart) -> None:
    """Or machines would be refused, who are in no group of the provider; a group may have commas."""
    login = by_password(oidc=oidc(groups=["cn=ml,dc=example", "x"]))
    aim_server(chart, "server", storage=dynamic(chart), login=login)
    group = '"cn=ml,dc=example"'
    wanted = {f"--allowed-group={group}", "--allowed-group=x", f"--htpasswd-user-group={group}", "--email-domain=*"}
    assert wanted <= set(arguments(chart))


def test_a_server_with_a_login_may_be_reached_from_outside(tree: cdk8s.App, chart: cdk8s.Chart) -> None:
    """By any way; and the rules admit whoever a load balancer brings."""
    login, service = by_password(), ServiceOptions(type="LoadBalancer")
    server = aim_server(chart, "server", storage=dynamic(chart), login=login, service=service)
    server.expose_via_ingress(IngressOptions(host="aim.example.com", default_certificate=True))
    server.expose_via_route(RouteOptions(hostnames=["aim.example.com"], parents=[ParentRef(name="gateway")]))
    tree.synth()
    assert server.public_urls == ("https://aim.example.com/",)
    admitted = [peer for rule in rendered(chart, "NetworkPolicy")["spec"]["ingress"] for peer in rule["from"]]
    assert {"ipBlock": {"cidr": "0.0.0.0/0"}} in admitted


def test_tracking_may_be_open_to_the_namespace(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """Then its own port is, beside the login, which lets machines from elsewhere record with credentials."""
    server = aim_server(chart, "server", storage=dynamic(chart), login=by_password())
    server.add_tracking(TrackingOptions(without_login=True))
    assert chart == difference


def test_a_provider_inside_is_reached_as_named(chart: cdk8s.Chart) -> None:
    """Nothing else is: the public addresses are for a public provider."""
    provider = oidc(issuer="http://dex.auth.svc:5556/dex", allow_to=[Destination(ip_block=IpBlock(cidr="10.1.0.0/16"))])
    aim_server(chart, "server", storage=dynamic(chart), login=by_provider(oidc=provider))
    egress = rendered(chart, "NetworkPolicy")["spec"]["egress"]
    assert {"ipBlock": {"cidr": "10.1.0.0/16"}} in [peer for rule in egress for peer in rule["to"]]
    assert "0.0.0.0/0" not in str(egress)


def test_people_are_brought_back_to_the_one_host_name(chart: cdk8s.Chart) -> None:
    """Of several, to the one that they came by."""
    server = aim_server(chart, "server", storage=dynamic(chart), login=by_provider(), base_path="/aim")
    server.expose_via_ingress(IngressOptions(host="aim.example.com", tracking_host="t.example.com", tls_secret="tls"))
    assert arguments(chart)[-1] == "--redirect-url=https://aim.example.com/aim/oauth2/callback"
    server.expose_via_route(RouteOptions(hostnames=["aim.example.net"], parents=[ParentRef(name="gateway")]))
    assert arguments(chart)[-1] == "--redirect-url="


def test_a_workload_connects_with_credentials(chart: cdk8s.Chart) -> None:
    """They come from a Secret, and stand before the URL that they become a part of."""
    server = aim_server(chart, "server", storage=dynamic(chart), login=by_password())
    server.add_tracking()
    job = kplus.Job(chart, "train")
    job.add_container(image="example.com/train:1")
    server.connect(job, credentials=KeyRef(name="train-token", key="credentials"))
    (container,) = rendered(chart, "Job")["spec"]["template"]["spec"]["containers"]
    reference = {"secretKeyRef": {"name": "train-token", "key": "credentials"}}
    assert container["env"] == [
        {"name": "AIM_CREDENTIALS", "valueFrom": reference},
        {"name": "AIM_REPO", "value": "aim://$(AIM_CREDENTIALS)@aim.ml.svc:53800"},
    ]


@pytest.mark.parametrize("options", [{}, {"login": by_password()}])
def test_credentials_that_nobody_asks_for_are_refused(chart: cdk8s.Chart, options: dict[str, Any]) -> None:
    """They would stand in a URL that needs none; with a login too, where tracking is open beside it."""
    server = aim_server(chart, "server", storage=dynamic(chart), **options)
    server.add_tracking(TrackingOptions(without_login=bool(options)))
    job = kplus.Job(chart, "train")
    job.add_container(image="example.com/train:1")
    with pytest.raises(OptionError, match="chart/train: credentials: .*: leave it out: no login asks for them"):
        server.connect(job, credentials=KeyRef(name="train-token", key="credentials"))


def test_a_workload_without_credentials_is_refused(chart: cdk8s.Chart) -> None:
    """Aim's client would fail with a stack trace that does not say why."""
    server = aim_server(chart, "server", storage=dynamic(chart), login=by_password())
    server.add_tracking()
    job = kplus.Job(chart, "train")
    job.add_container(image="example.com/train:1")
    with pytest.raises(OptionError, match="chart/train: credentials: None: name a Secret with user:token"):
        server.connect(job)
    with pytest.raises(OptionError, match=r"credentials: '\*\*\*': write name and key of a Secret"):
        server.connect(job, credentials="ci:token")  # type: ignore[arg-type]


SECRET: Any = "hunter2"
REFUSED: list[tuple[str, Any, dict[str, Any]]] = [
    ("oidc: None: write oidc, or passwords", LoginOptions, {}),
    (r"passwords: '\*\*\*': write name and key", by_password, {"passwords": SECRET}),
    (r"cookie_secret: '\*\*\*': write name", by_password, {"cookie_secret": SECRET}),
    (r"passwords: '\*\*\*': write", by_password, {"passwords": b"hunter2"}),
    ("passwords: 'a dict': write name and key", by_password, {"passwords": {"name": SECRET}}),
    ("cookie_secret.name: 'A'", by_password, {"cookie_secret": KeyRef(name="A", key="b")}),
    ("cookie_lifetime_seconds: 1: write a whole number", by_password, {"cookie_lifetime_seconds": 1}),
    (r"trusted_proxies\[0\]: '10.0.0.1'", by_password, {"trusted_proxies": ["10.0.0.1"]}),
    ("image: 'a b'", by_password, {"image": "a b"}),
    ("issuer: 'login.example.com': write a URL", oidc, {"issuer": "login.example.com"}),
    ("issuer: 'https://u:p@a.b'", oidc, {"issuer": "https://u:p@a.b"}),
    ("client_id: 'a b'", oidc, {"client_id": "a b"}),
    (r"client_secret: '\*\*\*'", oidc, {"client_secret": SECRET}),
    (r"ca: '\*\*\*': write name and key of a Secret or ConfigMap", oidc, {"ca": SECRET}),
    (r"email_domains: \[\]: write email_domains, emails or groups; or everybody", oidc, {"email_domains": []}),
    (r"email_domains\[0\]: '\*': write a domain", oidc, {"email_domains": ["*"]}),
    (r"email_domains\[0\]: 'a,\*'", oidc, {"email_domains": ["a,*"]}),
    (r"emails\[0\]: 'a@b\\n\*'", oidc, {"emails": ["a@b\n*"]}),
    ("everybody: True: leave it out", oidc, {"everybody": True, "groups": ["a"]}),
    (r"scopes: \['email'\]: write openid", oidc, {"scopes": ["email"]}),
    (r"allow_to: \[\]: write how the pod reaches dex.auth.svc", oidc, {"issuer": "http://dex.auth.svc/dex"}),
    (r"allow_to: \[\]: write how the pod reaches 10.0.0.7", oidc, {"issuer": "https://10.0.0.7"}),
]


@pytest.mark.parametrize(("message", "make", "options"), REFUSED, ids=[message for message, *_ in REFUSED])
def test_a_login_that_cannot_work_is_refused(
    chart: cdk8s.Chart, message: str, make: Any, options: dict[str, Any]
) -> None:
    """Each names its option; and no literal is repeated where a secret belongs."""
    made = make(**{"cookie_secret": KeyRef(name="a", key="b"), **options} if make is LoginOptions else options)
    login = by_provider(oidc=made) if isinstance(made, OidcOptions) else made
    where = "login.oidc." if isinstance(made, OidcOptions) else "login."
    with pytest.raises(OptionError, match=f"^chart/server: {where}{message}"):
        aim_server(chart, "server", storage=dynamic(chart), login=login)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "without_login: True: leave it out: there is no login"),
        ({"login": by_password(), "service": ServiceOptions(type="NodePort")}, "a NodePort would let everybody record"),
    ],
)
def test_tracking_that_is_open_by_mistake_is_refused(chart: cdk8s.Chart, options: dict[str, Any], message: str) -> None:
    """A port of its own on every node would have no login."""
    server = aim_server(chart, "server", storage=dynamic(chart), **options)
    with pytest.raises(OptionError, match=message):
        server.add_tracking(TrackingOptions(without_login=True))

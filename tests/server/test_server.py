"""The options of a server, and what each changes in its manifests."""

from __future__ import annotations

from typing import Any, Literal

import cdk8s
import pytest
from syrupy.assertion import SnapshotAssertion

from constructs_lib import (
    AimNamespace,
    AimServer,
    Destination,
    ExistingClaim,
    IpBlock,
    OptionError,
    Owner,
    Peer,
    Resources,
    Selector,
    ServerOptions,
    ServiceOptions,
)
from constructs_lib.plus import kplus
from tests.harness.building import aim_server, dynamic, rendered, serve, storage
from tests.harness.logins import by_password, oidc


def test_defaults(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """A storage is all that a server needs."""
    serve(chart)
    assert chart == manifests


def test_base_path(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """A base path is the server's; the kubelet asks the supervisor, which has none."""
    serve(chart, base_path="/x/y")
    assert chart == difference


def test_namespace(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """A namespace of ours enforces Pod Security "restricted" and is kept."""
    AimNamespace(chart, "namespace")
    assert chart == manifests


def test_existing_claim(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """A claim of others is mounted, whatever its name, and not made."""
    mode = "ReadWriteMany"
    store = storage(chart, source=ExistingClaim(name="runs.of.others"), size=None, access_mode=mode)
    aim_server(chart, "server", storage=store)
    assert chart == manifests


def test_owner(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """The pod runs as the owner of the storage."""
    aim_server(chart, "server", storage=dynamic(chart, owner=Owner(uid=1000, gid=2000)))
    assert chart == difference


def test_owner_of_the_cluster(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """Without an owner the pod names no user: OpenShift refuses one that is not of its own choice."""
    aim_server(chart, "server", storage=dynamic(chart, owner="ClusterAssigned"))
    assert chart == difference


def test_image(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """An image comes from any registry, by digest, pulled as told."""
    serve(
        chart,
        image=f"registry.example.com:5000/ml/aim:1@sha256:{'0' * 64}",
        image_pull_policy="Always",
        image_pull_secrets=["registry", "mirror"],
    )
    assert chart == difference


def test_workers(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """More workers answer more requests at once."""
    serve(chart, workers=4)
    assert chart == difference


def test_suspended(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """A suspended server has no pod, and everything else."""
    serve(chart, suspend=True)
    assert chart == difference


def test_resources(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """Given resources replace the default ones, no limit means none; but scratch space is counted in any case."""
    serve(chart, resources=Resources(requests={"cpu": "0.25", "memory": "768Mi"}))
    assert chart == difference


def test_resources_of_its_own_scratch(chart: cdk8s.Chart) -> None:
    """Whoever writes how much ephemeral storage there is gets that, and nothing else."""
    serve(chart, resources=Resources(limits={"ephemeral-storage": "4Gi"}))
    (container,) = rendered(chart, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"limits": {"ephemeral-storage": "4Gi"}}


def test_allowed_hosts(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """The server is told by which names it may be asked, those of its Service among them."""
    serve(chart, allowed_hosts=["aim.example.com", "*.example.org"], service=ServiceOptions(name="web"))
    assert chart == difference


def test_supervisor_of_the_image(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """Where the image brings the supervisor, no ConfigMap does, and the commands say which version they expect."""
    serve(chart, supervisor="Image").add_tracking()
    assert chart == difference


def test_placement(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """A node selector replaces the one for amd64."""
    serve(chart, node_selector={"disk": "ssd"}, priority_class_name="important")
    assert chart == difference


def test_names(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """Deployment and Service can keep the names they have."""
    names = {"deployment_name": "old-deployment", "supervisor_name": "old-supervisor"}
    serve(chart, **names, service=ServiceOptions(name="old-service"))
    assert chart == difference


def test_metadata(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """Labels go to every object and the pod, never into a selector; annotations where they are said to."""
    serve(chart, labels={"team": "vision"}, annotations={"note": "a"}, pod_annotations={"note": "b"})
    assert chart == difference


def test_service_port(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """The Service listens where it is told, the pod always on 43800."""
    serve(chart, service=ServiceOptions(port=8080))
    assert chart == difference


def test_service_node_port(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """A NodePort that everybody may use is open to every address."""
    serve(chart, service=ServiceOptions(type="NodePort", node_port=30080), allow_anonymous=True)
    assert chart == difference


def test_service_load_balancer(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """A LoadBalancer has the ranges, class and annotations that it is given."""
    service = ServiceOptions(
        type="LoadBalancer",
        load_balancer_source_ranges=["10.0.0.0/8"],
        load_balancer_class="example.com/internal",
        annotations={"example.com/scheme": "internal"},
    )
    serve(chart, service=service, allow_anonymous=True)
    assert chart == difference


def test_allow_from(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """Namespaces, pods and addresses come in where they are allowed to."""
    serve(chart).allow_from(
        kplus.Namespaces.select(chart, "Teams", labels={"team": "vision"}),
        kplus.Pods.select(chart, "Proxy", labels={"app": "proxy"}),
        kplus.NetworkPolicyIpBlock.ipv4(chart, "Office", "10.1.0.0/16", ["10.1.9.0/24"]),
    )
    assert chart == difference


def test_peers_of_options_are_peers_of_methods(chart: cdk8s.Chart) -> None:
    """A Peer comes in, and a Destination is reached at its own ports; `ports` is for the others."""
    server = serve(chart)
    block = IpBlock(cidr="10.1.0.0/16")
    server.allow_from(Peer(ip_block=block))
    server.add_tracking().allow_from(Peer(namespace_selector=Selector(match_labels={"team": "vision"})))
    server.allow_to(Destination(ip_block=block, ports=(9000,)), Peer(ip_block=block), ports=[8000])
    spec = rendered(chart, "NetworkPolicy")["spec"]
    came_in = [(rule["from"], [port["port"] for port in rule["ports"]]) for rule in spec["ingress"]]
    assert ([{"ipBlock": {"cidr": "10.1.0.0/16"}}], [43800]) in came_in
    teams = {"namespaceSelector": {"matchLabels": {"team": "vision"}}, "podSelector": {}}
    assert ([teams], [53800]) in came_in
    reached = [[port["port"] for port in rule["ports"]] for rule in spec["egress"] if rule["to"][0].get("ipBlock")]
    assert reached[0] == [9000]
    assert [8000] in reached


@pytest.mark.parametrize("method", ["allow_from", "allow_to", "tracking.allow_from"])
@pytest.mark.parametrize(
    ("peers", "message"),
    [
        ([], r"peers: \[\]: write at least one"),
        (["10.0.0.0/8"], r"peers\[0\]: '10.0.0.0/8': write a (Peer|Destination), or pods"),
        ([Selector()], r"peers\[0\]: 'a Selector': write a"),
        ([Peer()], r"peers\[0\]: 'none': write exactly one"),
    ],
)
def test_a_peer_that_cannot_be_is_refused(chart: cdk8s.Chart, method: str, peers: Any, message: str) -> None:
    """By its place in the call; the policy stays as it was."""
    server = serve(chart)
    tracking = server.add_tracking()
    before = rendered(chart, "NetworkPolicy")
    call = tracking.allow_from if method.startswith("tracking") else getattr(server, method)
    with pytest.raises(OptionError, match=message):
        call(*peers)
    assert rendered(chart, "NetworkPolicy") == before


def test_a_destination_lets_nobody_in(chart: cdk8s.Chart) -> None:
    """Its ports would have no effect."""
    with pytest.raises(OptionError, match=r"peers\[0\]: 'a Destination': write a Peer"):
        serve(chart).allow_from(Destination(ip_block=IpBlock(cidr="10.0.0.0/8")))


def test_allow_to(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """The pod reaches what it is told to, and the cluster's DNS, which is opened once."""
    server = serve(chart)
    server.allow_to(kplus.NetworkPolicyIpBlock.ipv4(chart, "S3", "10.2.0.0/16"))
    server.allow_to(kplus.Pods.select(chart, "Minio", labels={"app": "minio"}), ports=[9000])
    assert chart == difference


def test_nothing_is_reached_until_it_is_allowed(chart: cdk8s.Chart) -> None:
    """A policy of both types with no rule for egress denies it; one without the type would allow it all."""
    serve(chart)
    spec = rendered(chart, "NetworkPolicy")["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert "egress" not in spec


@pytest.mark.parametrize("ports", [[], [0], [443, 65536], 443, "443", ["443"], None])
def test_a_port_that_cannot_be_reached_is_named(chart: cdk8s.Chart, ports: Any) -> None:
    """The error leaves the policy as it was."""
    server = serve(chart)
    with pytest.raises(OptionError, match="chart/server: ports"):
        server.allow_to(kplus.NetworkPolicyIpBlock.any_ipv4(chart, "Any"), ports=ports)
    assert "egress" not in rendered(chart, "NetworkPolicy")["spec"]


def test_extended_by_hand(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """What has no option here is added through the cdk8s-plus Deployment."""
    deployment = serve(chart).deployment
    deployment.scheduling.tolerate(kplus.Node.tainted(kplus.NodeTaintQuery.exists("dedicated")))
    deployment.containers[0].env.add_variable("HTTPS_PROXY", kplus.EnvValue.from_value("http://proxy:3128"))
    deployment.containers[0].mount("/cache", kplus.Volume.from_empty_dir(chart, "Cache", "cache"))
    assert chart == difference


def test_composed_with_others(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """A Job mounts the storage, and a Service of somebody else's finds the server's pod."""
    store = dynamic(chart)
    server = aim_server(chart, "server", storage=store)
    job = kplus.Job(chart, "train", metadata=cdk8s.ApiObjectMetadata(name="train"))
    job.add_container(image="example.com/train:1", resources=kplus.ContainerResources()).mount("/aim", store)
    ports = [kplus.ServicePort(port=8080, target_port=43800)]
    name = cdk8s.ApiObjectMetadata(name="other")
    kplus.Service(chart, "other", metadata=name, selector=server.deployment, ports=ports)
    assert chart == manifests


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"image": "aim 3.29.1"}, "image"),
    ({"image": ""}, "image"),
    ({"image": "Aim:3"}, "image"),
    ({"image_pull_secrets": ["A"]}, "image_pull_secrets"),
    ({"image": "a..b"}, "image"),
    ({"image_pull_secrets": "registry"}, "image_pull_secrets"),
    ({"workers": True}, "workers"),
    ({"workers": 0}, "workers"),
    ({"workers": 65}, "workers"),
    ({"allowed_hosts": "aim.example.com"}, "allowed_hosts"),
    ({"allowed_hosts": ["aim.example.com", "http://aim"]}, "allowed_hosts[1]"),
    ({"allowed_hosts": ["aim:80"]}, "allowed_hosts[0]"),
    ({"allowed_hosts": ["*"]}, "allowed_hosts[0]"),
    ({"supervisor": "image"}, "supervisor"),
    ({"supervisor": "Image", "supervisor_name": "a"}, "supervisor_name"),
    ({"supervisor_name": "a" * 243}, "supervisor_name"),
    ({"deployment_name": "a" * 243}, "deployment_name"),
    ({"annotations": {"a": "\0"}}, "annotations[a]"),
    ({"pod_annotations": {"a": "\ud800"}}, "pod_annotations[a]"),
    ({"annotations": {"a": "b" * 2**15, "c": "d" * 2**15}}, "annotations"),
    ({"base_path": "aim"}, "base_path"),
    ({"base_path": "/aim/"}, "base_path"),
    ({"base_path": "/../aim"}, "base_path"),
    ({"supervisor_name": "A"}, "supervisor_name"),
    ({"deployment_name": "a_b"}, "deployment_name"),
    ({"node_selector": {"a": "b c"}}, "node_selector[a]"),
    ({"priority_class_name": ""}, "priority_class_name"),
    ({"labels": {"app.kubernetes.io/name": "x"}}, "labels[app.kubernetes.io/name]"),
    ({"annotations": {"argocd.argoproj.io/sync-wave": "1"}}, "annotations[argocd.argoproj.io/sync-wave]"),
    ({"pod_annotations": {"": "x"}}, "pod_annotations"),
    ({"resources": Resources(requests={"memory": "3Gi"}, limits={"memory": "2Gi"})}, "resources.limits[memory]"),
    ({"resources": Resources(requests={"cpu": "0.1m"})}, "resources.requests[cpu]"),
    ({"resources": Resources(limits={"cpu": "many"})}, "resources.limits[cpu]"),
    ({"service": ServiceOptions(port=0)}, "service.port"),
    ({"service": ServiceOptions(port=65536)}, "service.port"),
    ({"service": ServiceOptions(name="1st")}, "service.name"),
    ({"service": ServiceOptions(node_port=30080)}, "service.node_port"),
    ({"service": ServiceOptions(load_balancer_source_ranges=["10.0.0.0/8"])}, "service.load_balancer_source_ranges"),
    ({"service": ServiceOptions(load_balancer_class="a")}, "service.load_balancer_class"),
    ({"service": ServiceOptions(type="ExternalName")}, "service.type"),  # type: ignore[arg-type]
    (
        {"service": ServiceOptions(type="LoadBalancer", load_balancer_source_ranges=["10.0.0.1/8"])},
        "service.load_balancer_source_ranges",
    ),
]


@pytest.mark.parametrize(("options", "option"), REFUSED)
def test_an_option_that_cannot_work_is_named(chart: cdk8s.Chart, options: dict[str, Any], option: str) -> None:
    """The error names the construct and the option, and leaves nothing behind: the same storage can be served."""
    store = dynamic(chart)
    with pytest.raises(OptionError) as error:
        aim_server(chart, "server", storage=store, **options)
    assert str(error.value).startswith(f"chart/server: {option}: ")
    assert aim_server(chart, "server", storage=store).node.path == "chart/server"


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "http://aim.ml.svc/"),
        ({"base_path": "/x/y"}, "http://aim.ml.svc/x/y/"),
        ({"service": ServiceOptions(name="other", port=8080)}, "http://other.ml.svc:8080/"),
    ],
)
def test_the_url_is_where_the_service_answers(chart: cdk8s.Chart, options: dict[str, Any], url: str) -> None:
    """What a chart hands to others is the name, port and base path of the Service."""
    assert serve(chart, **options).url == url


@pytest.mark.parametrize("type", ["NodePort", "LoadBalancer"])
def test_a_server_that_anybody_reaches_is_refused(
    chart: cdk8s.Chart, type: Literal["NodePort", "LoadBalancer"]
) -> None:
    """It is not made, and both ways out are named."""
    remedy = "write login, so that nobody comes in without; or allow_anonymous"
    with pytest.raises(OptionError, match=f"chart/server: service.type: '{type}': {remedy}"):
        serve(chart, service=ServiceOptions(type=type))
    assert chart.node.try_find_child("server") is None


def test_the_container_of_aim_has_a_name(chart: cdk8s.Chart) -> None:
    """Also behind a login, which is what clients reach then."""
    server = serve(chart, login=by_password())
    assert (server.container.name, server.front.container.name) == ("aim", "login")


@pytest.mark.parametrize("option", ["suspend", "login", "base_path", "storage", "image", "options", "name"])
def test_a_value_of_another_type_is_named(chart: cdk8s.Chart, option: str) -> None:
    """Before anything is made, and without a failure of Python's own."""
    arguments: dict[str, dict[str, Any]] = {
        "suspend": {"options": ServerOptions(suspend="false")},  # type: ignore[arg-type]
        "login": {"options": ServerOptions(login=oidc())},  # type: ignore[arg-type]
        "base_path": {"options": ServerOptions(base_path=None)},  # type: ignore[arg-type]
        "storage": {"storage": "aim-runs"},
        "image": {"image": "docker.io/aimstack/aim:3.29.1"},
        "options": {"options": {"workers": 2}},
        "name": {"name": 5},
    }
    with pytest.raises(OptionError, match=f"^chart/server: {option}: .*: write "):
        AimServer(chart, "server", **{"storage": dynamic(chart), **arguments[option]})
    assert chart.node.try_find_child("server") is None

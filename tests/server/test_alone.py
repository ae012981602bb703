"""One store has one server, and one name one object."""

from __future__ import annotations

import cdk8s
import pytest

from constructs_lib import (
    AimNamespace,
    CsiVolume,
    DynamicVolume,
    HostPath,
    NfsExport,
    OptionError,
    ServiceOptions,
    StorageSource,
    attach,
)
from constructs_lib.plus import kplus
from tests.harness.building import aim_server, aim_storage, dynamic, rendered, serve


@pytest.mark.parametrize("namespace", [None, "default", "kube-system", "A"])
def test_a_namespace_that_is_not_ours_is_not_made(tree: cdk8s.App, namespace: str | None) -> None:
    """The namespaces of the cluster itself have an owner already."""
    with pytest.raises(OptionError, match="chart/namespace: namespace: "):
        AimNamespace(cdk8s.Chart(tree, "chart", namespace=namespace), "namespace")


def test_a_storage_of_another_namespace_is_refused(tree: cdk8s.App, chart: cdk8s.Chart) -> None:
    """A pod cannot mount a claim of another namespace, and cdk8s-plus does not say so."""
    elsewhere = cdk8s.Chart(tree, "elsewhere", namespace="other")
    with pytest.raises(OptionError, match="chart/server: storage: 'ml': put both in one namespace.*'other'"):
        aim_server(chart, "server", storage=dynamic(elsewhere))


SAME: list[tuple[StorageSource, StorageSource]] = [
    (NfsExport(server="NFS.example.com", path="/aim"), NfsExport(server="nfs.example.com.", path="//aim/./")),
    (CsiVolume(driver="d", volume_handle="h"), CsiVolume(driver="d", volume_handle="h", fs_type="ext4")),
    (NfsExport(server="::1", path="/aim"), NfsExport(server="0:0:0:0:0:0:0:1", path="/aim")),
    (HostPath(path="/srv/aim", node="a"), HostPath(path="/srv/aim/", node="a")),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_one_store_has_one_server(tree: cdk8s.App, first: StorageSource, second: StorageSource) -> None:
    """Two servers on one store are refused however it is spelled, wherever in the app they are."""
    for name, source in (("first", first), ("second", second)):
        chart = cdk8s.Chart(tree, name, namespace=name)
        store = aim_storage(chart, "storage", source=source, size="1Gi")
        if name == "first":
            aim_server(chart, "server", storage=store)
        else:
            with pytest.raises(
                OptionError, match="second/server: storage: '.*already served by first/server; one store has one"
            ):
                aim_server(chart, "server", storage=store)


def test_one_claim_has_one_server(chart: cdk8s.Chart) -> None:
    """A claim is a store too."""
    store = dynamic(chart)
    aim_server(chart, "server", storage=store)
    with pytest.raises(
        OptionError, match="'PersistentVolumeClaim ml/aim-runs': it is already served by chart/server; one"
    ):
        aim_server(chart, "again", storage=store)


def test_one_path_of_two_nodes_is_two_stores(chart: cdk8s.Chart) -> None:
    """Each node has its own directory there."""
    for name in ("a", "b"):
        source = HostPath(path="/srv/aim", node=name)
        store = aim_storage(chart, name, source=source, size="1Gi", name=name)
        assert aim_server(chart, f"{name}-server", storage=store).name == name


def test_a_server_takes_the_names_of_its_own_config_maps_only(chart: cdk8s.Chart) -> None:
    """One whose image brings the supervisor has none, so that another server may use the name."""
    serve(chart, supervisor="Image")
    other = aim_storage(chart, "other", source=DynamicVolume(), size="1Gi", name="other")
    server = aim_server(chart, "again", storage=other, supervisor_name="aim-supervisor")
    third = aim_storage(chart, "third", source=DynamicVolume(), size="1Gi", name="third")
    with pytest.raises(OptionError, match="supervisor_name: 'ConfigMap ml/aim-supervisor-.*made by chart/again"):
        aim_server(chart, "third-server", storage=third, supervisor_name="aim-supervisor")
    assert server.supervisor.config_maps


def test_the_longest_deployment_name_fits(chart: cdk8s.Chart) -> None:
    """Its ReplicaSets add a dash and ten characters to reach the 253 of Kubernetes."""
    assert serve(chart, deployment_name="a" * 242).deployment.metadata.name == "a" * 242


def test_two_servers_of_one_name_are_refused(chart: cdk8s.Chart) -> None:
    """Their selectors would be the same: each would serve through the other's pod."""
    serve(chart)
    other = aim_storage(
        chart, "other", source=HostPath(path="/x", node="a"), size="1Gi", claim_name="x", volume_name="x"
    )
    with pytest.raises(OptionError, match="chart/again: name: 'server ml/aim': it is already made by chart/server"):
        aim_server(chart, "again", storage=other, deployment_name="x", service=ServiceOptions(name="x"))


def test_a_server_may_have_a_name_of_its_own(chart: cdk8s.Chart) -> None:
    """Its objects and labels have it, and pods that share its node look for it; claim and volume keep theirs."""
    store = dynamic(chart)
    server = aim_server(chart, "server", storage=store, name="vision")
    job = kplus.Job(chart, "train")
    job.add_container(image="example.com/train:1")
    attach(job, store, share_node=True)
    affinity = rendered(chart, "Job")["spec"]["template"]["spec"]["affinity"]["podAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    labels = {each["key"]: each["values"] for each in term["labelSelector"].get("matchExpressions", [])}
    assert (term["labelSelector"].get("matchLabels") or labels)["app.kubernetes.io/instance"] in ("vision", ["vision"])
    assert (server.host, store.claim_name) == ("vision.ml.svc", "aim-runs")


def test_a_namespace_is_made_once(tree: cdk8s.App) -> None:
    """Two charts cannot both own a namespace."""
    AimNamespace(cdk8s.Chart(tree, "a", namespace="ml"), "namespace")
    with pytest.raises(OptionError, match="b/namespace: namespace: 'Namespace ml': it is already made by a/namespace"):
        AimNamespace(cdk8s.Chart(tree, "b", namespace="ml"), "namespace")


def test_charts_without_a_namespace_are_apart(tree: cdk8s.App) -> None:
    """Each goes where `kubectl -n` says, so two of one name do not collide."""
    for name in ("a", "b"):
        chart = cdk8s.Chart(tree, name)
        aim_server(chart, "server", storage=dynamic(chart))
        assert rendered(chart, "Deployment")["metadata"]["name"] == "aim"


def test_moving_a_server_in_python_rolls_nothing_out() -> None:
    """Neither selector nor pod has the construct path in it, which cdk8s-plus puts into both."""
    deployments = []
    for name in ("here", "there"):
        chart = cdk8s.Testing.chart()
        inner = cdk8s.Chart(chart, name, namespace="ml")
        aim_server(inner, f"{name}-server", storage=aim_storage(inner, name, source=DynamicVolume(), size="1Gi"))
        deployments.append(rendered(inner, "Deployment"))
    assert deployments[0] == deployments[1]

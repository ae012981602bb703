from __future__ import annotations

from typing import Any

import cdk8s
import pytest
from syrupy.assertion import SnapshotAssertion

from constructs_lib import (
    CsiVolume,
    DynamicVolume,
    ExistingClaim,
    HostPath,
    NfsExport,
    OptionError,
    Owner,
    SecretReference,
)
from constructs_lib.plus import kplus
from tests.harness.building import aim_storage, dynamic, rendered, storage


def test_nfs(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """An NFS export becomes a volume and a claim, each naming the other."""
    storage(chart)
    assert chart == manifests


def test_nfs_mount_options(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """Mount options are the volume's."""
    storage(chart, source=NfsExport(server="10.0.0.7", path="/aim", mount_options=["nfsvers=4.1", "hard"]))
    assert chart == manifests


def test_csi(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """Whatever a CSI driver wants to know reaches it."""
    source = CsiVolume(
        driver="nfs.csi.k8s.io",
        volume_handle="nfs.example.com#aim",
        volume_attributes={"server": "nfs.example.com", "share": "/aim"},
        fs_type="nfs",
        node_stage_secret_ref=SecretReference(name="mount", namespace="csi"),
        mount_options=["nfsvers=4.1"],
    )
    storage(chart, source=source)
    assert chart == manifests


def test_csi_efs(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """EFS is mounted through an access point."""
    storage(chart, source=CsiVolume.efs(file_system="fs-0123456789abcdef0", access_point="fsap-0123456789abcdef0"))
    assert chart == manifests


def test_csi_filestore(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """A Filestore instance that exists is mounted by its address."""
    source = CsiVolume.filestore(location="europe-west1-b", instance="aim", share="vol1", ip="10.0.0.2")
    storage(chart, source=source)
    assert chart == manifests


def test_csi_azure_files(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """An Azure Files share is mounted over NFS, not SMB."""
    source = CsiVolume.azure_files(resource_group="ml", storage_account="mlruns", share="aim")
    storage(chart, source=source)
    assert chart == manifests


def test_host_path(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """A host path must exist, on the node to which it binds the pod."""
    storage(chart, source=HostPath(path="/srv/aim", node="trial-1"))
    assert chart == manifests


def test_dynamic(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """A dynamic volume is a claim alone, without any word on the class."""
    storage(chart, source=DynamicVolume())
    assert chart == manifests


def test_dynamic_class(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """A dynamic volume is of the class that is named."""
    storage(chart, source=DynamicVolume(), storage_class_name="fast")
    assert chart == manifests


def test_static_class(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """The class of a static volume is the claim's too, or they would not bind."""
    storage(chart, storage_class_name="static")
    assert chart == manifests


def test_access_mode(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """A claim may be for one pod only."""
    storage(chart, source=DynamicVolume(), access_mode="ReadWriteOncePod")
    assert chart == manifests


def test_names(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """Volume and claim can keep the names they have."""
    storage(chart, name="vision", claim_name="old-claim", volume_name="old-volume")
    assert chart == manifests


def test_metadata(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """Labels and annotations of a user come beside those that keep the objects."""
    storage(chart, labels={"team": "vision"}, annotations={"backup.velero.io/include": "yes"})
    assert chart == manifests


@pytest.mark.parametrize(
    ("size", "spelling"), [("512Mi", "512Mi"), ("1024Gi", "1Ti"), ("1.5Gi", "1536Mi"), ("2e9", "2G")]
)
def test_a_size_is_any_quantity_in_the_spelling_that_the_cluster_answers_with(
    chart: cdk8s.Chart, size: str, spelling: str
) -> None:
    """Any quantity is a size, in volume and claim alike."""
    storage(chart, size=size)
    assert rendered(chart, "PersistentVolume")["spec"]["capacity"]["storage"] == spelling
    assert rendered(chart, "PersistentVolumeClaim")["spec"]["resources"]["requests"]["storage"] == spelling


def test_a_number_is_a_size_in_bytes(chart: cdk8s.Chart) -> None:
    """As in YAML; cdk8s-plus takes whole gibibytes only."""
    aim_storage(chart, "storage", source=DynamicVolume(), size=2**29)
    assert rendered(chart, "PersistentVolumeClaim")["spec"]["resources"]["requests"]["storage"] == str(2**29)


def test_one_claim_is_made_once(chart: cdk8s.Chart) -> None:
    """Two storages of one name would make the same objects."""
    storage(chart)
    with pytest.raises(OptionError, match="chart/again: claim_name: 'PersistentVolumeClaim ml/aim-runs'"):
        aim_storage(chart, "again", source=DynamicVolume(), size="1Gi")


def test_one_pod_can_ask_twice_for_the_volume(chart: cdk8s.Chart) -> None:
    """Two containers of a pod share one volume."""
    store = storage(chart)
    job = kplus.Job(chart, "job")
    for name in ("first", "second"):
        job.add_container(name=name, image="example.com/train:1").mount("/aim", store)
    (volume,) = rendered(chart, "Job")["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == "aim-runs"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"source": NfsExport(server="", path="/aim")}, "nfs.server"),
    ({"source": NfsExport(server="nfs://a", path="/aim")}, "nfs.server"),
    ({"source": NfsExport(server="a", path="aim")}, "nfs.path"),
    ({"source": NfsExport(server="a", path="/aim/../etc")}, "nfs.path"),
    ({"source": NfsExport(server="a", path="/aim", mount_options=["a b"])}, "nfs.mount_options"),
    ({"source": CsiVolume(driver="", volume_handle="h")}, "csi.driver"),
    ({"source": CsiVolume(driver="d", volume_handle=" ")}, "csi.volume_handle"),
    ({"source": HostPath(path="", node="a")}, "host_path.path"),
    ({"source": HostPath(path="//./", node="a")}, "host_path.path"),
    ({"source": HostPath(path="/a", node="")}, "host_path.node"),
    ({"source": HostPath(path="/a", node="a b")}, "host_path.node"),
    ({"source": NfsExport(server="a", path="/aim", mount_options=["hard", "nolock"])}, "nfs.mount_options"),
    ({"source": NfsExport(server="a", path="/aim", mount_options=["hard,local_lock=flock"])}, "nfs.mount_options"),
    ({"source": NfsExport(server="a", path="/aim", mount_options=["ro"])}, "nfs.mount_options"),
    ({"source": NfsExport(server="a", path="/aim", mount_options=["nfsvers=2"])}, "nfs.mount_options"),
    ({"source": NfsExport(server="a", path="/aim", mount_options=["a\0"])}, "nfs.mount_options"),
    ({"source": CsiVolume(driver="nfs.csi.k8s.io", volume_handle="h", mount_options=["nolock"])}, "csi.mount_options"),
    ({"source": CsiVolume(driver="smb.csi.k8s.io", volume_handle="h")}, "csi.driver"),
    ({"source": CsiVolume(driver="file.csi.azure.com", volume_handle="h")}, "csi.driver"),
    ({"source": CsiVolume(driver="gcsfuse.csi.storage.gke.io", volume_handle="h")}, "csi.driver"),
    (
        {"source": CsiVolume(driver="smb.csi.k8s.io", volume_handle="h", volume_attributes={"protocol": "nfs"})},
        "csi.driver",
    ),
    ({"source": CsiVolume(driver="d", volume_handle="h\0")}, "csi.volume_handle"),
    (
        {"source": CsiVolume(driver="d", volume_handle="h", volume_attributes={"a": "\ud800"})},
        "csi.volume_attributes[a]",
    ),
    ({"source": ExistingClaim(name="A"), "size": None, "access_mode": "ReadWriteOnce"}, "existing_claim.name"),
    ({"source": ExistingClaim(name="a"), "size": None}, "access_mode"),
    ({"source": ExistingClaim(name="a"), "access_mode": "ReadWriteOnce"}, "size"),
    ({"access_mode": "ReadOnlyMany"}, "access_mode"),
    ({"size": None}, "size"),
    ({"size": "0"}, "size"),
    ({"size": "-1Gi"}, "size"),
    ({"size": "1.1Gi"}, "size"),
    ({"size": "big"}, "size"),
    ({"owner": Owner(uid=0)}, "owner.uid"),
    ({"owner": Owner(gid=2**31)}, "owner.gid"),
    ({"name": "1st"}, "name"),
    ({"name": "a" * 41}, "name"),
    ({"claim_name": "A"}, "claim_name"),
    ({"volume_name": "a" * 254}, "volume_name"),
    ({"source": DynamicVolume(), "volume_name": "a"}, "volume_name"),
    ({"storage_class_name": ""}, "storage_class_name"),
    ({"labels": {"app.kubernetes.io/component": "x"}}, "labels[app.kubernetes.io/component]"),
    ({"labels": {"a": "b c"}}, "labels[a]"),
    ({"annotations": {"a b": "c"}}, "annotations"),
    ({"annotations": {"argocd.argoproj.io/sync-options": "x"}}, "annotations[argocd.argoproj.io/sync-options]"),
    ({"annotations": {"argocd.argoproj.io/hook": "PreSync"}}, "annotations[argocd.argoproj.io/hook]"),
    ({"labels": {"kustomize.toolkit.fluxcd.io/force": "x"}}, "labels[kustomize.toolkit.fluxcd.io/force]"),
    ({"source": NfsExport(server="a", path="/aim", mount_options="hard")}, "nfs.mount_options"),
    ({"source": NfsExport(server="999.1.1.1", path="/aim")}, "nfs.server"),
    ({"source": CsiVolume(driver="a..b", volume_handle="h")}, "csi.driver"),
    ({"claim_name": ""}, "claim_name"),
    ({"source": NfsExport(server=None, path="/aim")}, "nfs.server"),  # type: ignore[arg-type]
    ({"source": "nfs.example.com:/aim"}, "source"),
    ({"name": None}, "name"),
    ({"owner": 1000}, "owner"),
]


@pytest.mark.parametrize(("options", "option"), REFUSED)
def test_an_option_that_cannot_work_is_named(chart: cdk8s.Chart, options: dict[str, Any], option: str) -> None:
    """The error names the construct and the option, and leaves nothing behind: the same id works afterwards."""
    with pytest.raises(OptionError) as error:
        storage(chart, **options)
    assert str(error.value).startswith(f"chart/storage: {option}: ")
    assert storage(chart).node.path == "chart/storage"


@pytest.mark.parametrize("option", ["local_lock=none", "nfsvers=3", "vers=4.2", "rw", "lock", "hard,timeo=600"])
def test_a_mount_option_that_keeps_locks_is_taken(chart: cdk8s.Chart, option: str) -> None:
    """Only what turns locks or writing off is refused."""
    storage(chart, source=NfsExport(server="a", path="/aim", mount_options=[option]))
    assert rendered(chart, "PersistentVolume")["spec"]["mountOptions"] == [option]


def test_a_static_volume_needs_a_namespace(tree: cdk8s.App) -> None:
    """A volume that names a claim of no namespace never binds."""
    with pytest.raises(OptionError, match="chart/storage: namespace: None: give the chart a namespace"):
        storage(cdk8s.Chart(tree, "chart"))


def test_a_dynamic_volume_leaves_the_namespace_to_kubectl(tree: cdk8s.App) -> None:
    """A chart without a namespace is a chart for `kubectl -n`."""
    chart = cdk8s.Chart(tree, "chart")
    dynamic(chart)
    assert "namespace" not in rendered(chart, "PersistentVolumeClaim")["metadata"]

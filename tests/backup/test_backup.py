"""What a backup renders, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cdk8s
import pytest
from syrupy.assertion import SnapshotAssertion

from constructs_lib import (
    AimBackup,
    AimRestore,
    BackupOptions,
    BackupTarget,
    BackupVolume,
    Destination,
    DrillOptions,
    DynamicVolume,
    EnvVar,
    ExistingClaim,
    IpBlock,
    KeyRef,
    NfsExport,
    OptionError,
    ResticRepository,
    Retention,
    S3Bucket,
)
from tests.harness.building import NFS, aim_server, aim_storage, dynamic, serve, storage
from tests.harness.manifest_rules import Manifest, pod_template

KEY = KeyRef(name="backup", key="password")
OPTIONS = BackupOptions(password=KEY)
S3 = S3Bucket(endpoint="https://s3.example.com", bucket="backups", access_key=KEY, secret_key=KEY)
CLAIM = BackupVolume(volume=ExistingClaim(name="copies"))


def backup(
    chart: cdk8s.Chart, *, target: BackupTarget = CLAIM, options: BackupOptions = OPTIONS, **given: Any
) -> list[Manifest]:
    """The manifests of a backup of an NFS export, or of another storage."""
    source = given.pop("storage", None) or storage(chart)
    AimBackup(chart, "backup", storage=source, target=target, options=options, **given)
    return list(cdk8s.Testing.synth(chart))


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pods of both CronJobs, by their names."""
    jobs = [manifest for manifest in manifests if manifest["kind"] == "CronJob"]
    return {job["metadata"]["name"]: pod_template(job) or {} for job in jobs}


def policy(manifests: list[Manifest]) -> Manifest:
    """The network rules."""
    (found,) = [manifest["spec"] for manifest in manifests if manifest["kind"] == "NetworkPolicy"]
    return dict(found)


def test_a_backup_to_another_claim(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """The whole of it, beside a server whose volume can be on one node only."""
    source = dynamic(chart)
    server = aim_server(chart, "server", storage=source)
    AimBackup(chart, "backup", storage=source, target=CLAIM, options=OPTIONS, supervisor=server.supervisor)
    assert chart == manifests


def test_secrets_are_references(chart: cdk8s.Chart) -> None:
    """Password and keys reach restic only, and no manifest."""
    for template in pods(backup(chart, target=S3)).values():
        (restic,) = [each for each in template["spec"]["initContainers"] if each["name"] == "restic"]
        secret = {each["name"] for each in restic["env"] if "secretKeyRef" in each.get("valueFrom", {})}
        assert secret == {"RESTIC_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        others = [
            each for each in template["spec"]["containers"] + template["spec"]["initContainers"] if each != restic
        ]
        assert not [each for each in others if "env" in each]


def test_restic_cannot_write_to_the_runs(chart: cdk8s.Chart) -> None:
    """It reads the staged copy; only the supervisor writes to the volume."""
    restic = pods(backup(chart))["aim-backup"]["spec"]["initContainers"][1]
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in restic["volumeMounts"]}
    assert mounts == {"/tmp": False, "/backup": False, "/aim": True}


@pytest.mark.parametrize(
    ("target", "allowed", "expected"),
    [
        (CLAIM, (), set()),
        (S3, (), {("0.0.0.0/0", 443), ("::/0", 443)}),
        (replace(S3, endpoint="http://10.0.0.7:9000"), (), {("0.0.0.0/0", 9000), ("::/0", 9000)}),
        (ResticRepository(url="sftp:user@host:/aim"), (), {("0.0.0.0/0", 22), ("::/0", 22)}),
        (S3, (Destination(ip_block=IpBlock(cidr="10.0.0.7/32"), ports=(9000,)),), {("10.0.0.7/32", 9000)}),
    ],
)
def test_the_pods_reach_their_target_only(
    chart: cdk8s.Chart, target: BackupTarget, allowed: tuple[Destination, ...], expected: set[tuple[str, int]]
) -> None:
    """Nobody comes in; a volume is mounted by the node, so that a pod with one reaches nothing."""
    rules = policy(backup(chart, target=target, options=replace(OPTIONS, allow_to=allowed)))
    blocks = [(rule["to"][0].get("ipBlock", {}).get("cidr"), rule["ports"][0]) for rule in rules.get("egress", [])]
    assert {(cidr, port["port"]) for cidr, port in blocks if cidr and port["port"] != 53} == expected
    assert "ingress" not in rules
    assert set(rules["policyTypes"]) == {"Ingress", "Egress"}


def test_the_volume_of_the_copies_is_kept_as_that_of_the_runs(chart: cdk8s.Chart) -> None:
    """By every tool; and it says that copies are on it."""
    target = BackupVolume(volume=NfsExport(server="nfs.example.com", path="/backup"))
    manifests = backup(chart, target=target)
    kept = [each for each in manifests if each["metadata"]["name"] in ("aim-backup", "ml.aim-backup")]
    kept = [each["metadata"] for each in kept if each["kind"].startswith("PersistentVolume")]
    assert len(kept) == 2
    for metadata in kept:
        assert metadata["labels"]["app.kubernetes.io/component"] == "storage"
        assert metadata["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
        assert metadata["annotations"]["kubernetes.io/description"].startswith("The volume that copies of the runs")


def test_the_pods_are_no_server_s(chart: cdk8s.Chart) -> None:
    """No selector of a server finds them, and their own rules find both."""
    manifests = backup(chart)
    components = {t["metadata"]["labels"]["app.kubernetes.io/component"] for t in pods(manifests).values()}
    (expression,) = policy(manifests)["podSelector"]["matchExpressions"]
    assert components == {"backup", "drill"} == set(expression["values"]) - {"restore"}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"target": BackupVolume(volume=NFS)}, "target"),
    ({"target": BackupVolume(volume=ExistingClaim(name="aim-runs"))}, "target"),
    ({"target": BackupVolume(volume=NfsExport(server="", path="/b"))}, "nfs.server"),
    ({"target": replace(S3, endpoint="s3.example.com")}, "s3.endpoint"),
    ({"target": replace(S3, endpoint="https://key:secret@s3.example.com")}, "s3.endpoint"),
    ({"target": replace(S3, endpoint="https://s3.example.com/bucket")}, "s3.endpoint"),
    ({"target": replace(S3, bucket="B")}, "s3.bucket"),
    ({"target": replace(S3, prefix="../other")}, "s3.prefix"),
    ({"target": replace(S3, region="a b")}, "s3.region"),
    ({"target": replace(S3, secret_key=KeyRef(name="s3", key=""))}, "s3.secret_key.key"),
    ({"target": ResticRepository(url="/data")}, "repository.url"),
    ({"target": ResticRepository(url="rest:https://user:word@host/")}, "repository.url"),
    ({"target": ResticRepository(url="rclone:remote:aim")}, "allow_to"),
    ({"options": replace(OPTIONS, schedule="every night")}, "schedule"),
    ({"options": replace(OPTIONS, time_zone="a b")}, "time_zone"),
    ({"options": replace(OPTIONS, deadline_seconds=1)}, "deadline_seconds"),
    ({"options": replace(OPTIONS, check_percent=0)}, "check_percent"),
    ({"options": replace(OPTIONS, keep=Retention(last=0, daily=0, weekly=0, monthly=0))}, "keep.last"),
    ({"options": replace(OPTIONS, drill=DrillOptions(size="x"))}, "drill.size"),
    ({"options": replace(OPTIONS, drill=DrillOptions(schedule="x"))}, "drill.schedule"),
    ({"options": replace(OPTIONS, restic_image=":")}, "restic_image"),
    ({"options": replace(OPTIONS, password=KeyRef(name="B", key="password"))}, "password.name"),
]


@pytest.mark.parametrize(("given", "option"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_cannot_work_is_refused(chart: cdk8s.Chart, given: dict[str, Any], option: str) -> None:
    """The option is named, and nothing of a password."""
    with pytest.raises(OptionError) as error:
        backup(chart, **given)
    assert error.value.option == option
    assert "word@" not in str(error.value)
    assert "secret@" not in str(error.value)


SECRET: Any = "hunter2"
NUMBER: Any = 5
MAPPING: Any = {"A": SECRET}
REFERENCE: Any = KEY
TYPES: list[tuple[dict[str, Any], str]] = [
    ({"storage": "aim-runs"}, "storage: 'aim-runs': write an AimStorage"),
    ({"image": "aim:3"}, "image: 'aim:3': write ImageOptions"),
    ({"options": {"password": "hunter2"}}, "options: 'a dict': write BackupOptions"),
    ({"supervisor": "Image"}, "supervisor: 'Image': write the supervisor of a server"),
    ({"target": "nfs.example.com:/backup"}, "target: .*: write a BackupVolume"),
    ({"target": BackupVolume(volume=SECRET)}, "volume: 'a str': write a StorageSource"),
    ({"options": replace(OPTIONS, password=SECRET)}, r"password: '\*\*\*': write name and key of a Secret"),
    ({"target": replace(S3, access_key=SECRET)}, r"s3.access_key: '\*\*\*': write name and key of a Secret"),
    ({"target": replace(S3, ca=SECRET)}, r"s3.ca: '\*\*\*': write name and key of a Secret"),
    ({"options": replace(OPTIONS, schedule=NUMBER)}, "schedule: 5: write a text"),
    ({"options": replace(OPTIONS, schedule="99 99 * * *")}, "schedule: '99 99 .*': write a minute from 0 to 59"),
    ({"options": replace(OPTIONS, env=MAPPING)}, "env: 'a dict': write a list, each entry EnvVar"),
    ({"options": replace(OPTIONS, env=[EnvVar(name="A", value=NUMBER)])}, r"env\[0\].value: 5: write a text"),
    (
        {"options": replace(OPTIONS, env=[EnvVar(name="A", value_from=REFERENCE)])},
        r"write ValueFrom\(secret_key_ref=KeyRef",
    ),
    ({"options": replace(OPTIONS, keep=NUMBER)}, "keep: 5: write a Retention"),
]


@pytest.mark.parametrize(("given", "message"), TYPES, ids=[message for _, message in TYPES])
def test_a_value_of_another_type_is_refused(chart: cdk8s.Chart, given: dict[str, Any], message: str) -> None:
    """Nothing is made, and nothing of a secret is told."""
    source = storage(chart)
    arguments: dict[str, Any] = {"storage": source, "target": CLAIM, "options": OPTIONS, **given}
    with pytest.raises(OptionError, match=f"^chart/backup: .*{message}") as error:
        AimBackup(chart, "backup", **arguments)
    assert "hunter2" not in str(error.value)
    assert chart.node.try_find_child("backup") is None


def test_a_supervisor_of_another_namespace_is_refused(chart: cdk8s.Chart, tree: cdk8s.App) -> None:
    """Its ConfigMaps would not be there."""
    elsewhere = serve(cdk8s.Chart(tree, "other", namespace="other")).supervisor
    with pytest.raises(OptionError, match="chart/backup: supervisor: 'ml': put both in one namespace: .*'other'"):
        backup(chart, supervisor=elsewhere)
    assert chart.node.try_find_child("backup") is None


def test_no_two_config_maps_have_one_name(chart: cdk8s.Chart) -> None:
    """A backup without a server's supervisor makes one of its own; with the server's, it makes none."""
    server = serve(chart, supervisor_name="aim-backup")
    arguments: dict[str, Any] = {"storage": server.storage, "target": CLAIM, "options": OPTIONS}
    with pytest.raises(OptionError, match="name: 'ConfigMap ml/aim-backup-.*': it is already made by chart/server"):
        AimBackup(chart, "backup", **arguments)
    AimBackup(chart, "backup", **arguments, supervisor=server.supervisor)


def test_a_restore_of_another_namespace_is_refused(chart: cdk8s.Chart, tree: cdk8s.App) -> None:
    """Its pod would wait for a claim that is not there."""
    copies = AimBackup(chart, "backup", storage=storage(chart), target=CLAIM, options=OPTIONS)
    other = cdk8s.Chart(tree, "other", namespace="other")
    with pytest.raises(OptionError, match="other/restore: backup: 'other': put both in one namespace: .*'ml'"):
        AimRestore(other, "restore", backup=copies)
    assert other.node.try_find_child("restore") is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backup": "aim"}, "backup: 'aim': write an AimBackup"),
        ({"snapshot": 5}, "snapshot: 5"),
        ({"into": 5}, "into: 5"),
        ({"run": 5}, "run: 5"),
    ],
)
def test_a_restore_that_cannot_be_is_refused(chart: cdk8s.Chart, given: dict[str, Any], message: str) -> None:
    """By the option, and not by what it lacks."""
    copies = AimBackup(chart, "backup", storage=storage(chart), target=CLAIM, options=OPTIONS)
    with pytest.raises(OptionError, match=f"chart/restore: {message}"):
        AimRestore(chart, "restore", **{"backup": copies, **given})


def test_no_two_network_policies_have_one_name(chart: cdk8s.Chart) -> None:
    """The second one that is applied would open what the first has closed."""
    backup(chart)
    store = aim_storage(chart, "other", source=DynamicVolume(), size="1Gi", name="aim-backup")
    with pytest.raises(OptionError, match="deployment_name: 'NetworkPolicy ml/aim-backup': it is already made by"):
        aim_server(chart, "server", storage=store)


def test_a_volume_of_one_pod_is_refused(chart: cdk8s.Chart) -> None:
    """Only the server's pod can have it mounted; the way out is named."""
    with pytest.raises(OptionError, match="VolumeSnapshots") as error:
        backup(chart, storage=storage(chart, access_mode="ReadWriteOncePod"))
    assert error.value.option == "access_mode"


def test_a_backup_of_another_namespace_is_refused(chart: cdk8s.Chart, tree: cdk8s.App) -> None:
    """A claim is mounted in its own namespace only."""
    with pytest.raises(OptionError, match="in its own only"):
        backup(cdk8s.Chart(tree, "other", namespace="other"), storage=storage(chart))


def test_two_backups_of_one_instance_are_refused(chart: cdk8s.Chart) -> None:
    """Their CronJobs would have one name."""
    source = storage(chart)
    backup(chart, storage=source)
    with pytest.raises(OptionError, match="already made by chart/backup"):
        AimBackup(chart, "again", storage=source, target=CLAIM, options=OPTIONS)


def test_two_instances_of_one_name_do_not_share_copies() -> None:
    """A restore of one would bring the runs of the other."""
    app = cdk8s.App()
    north, south = (cdk8s.Chart(app, name, namespace=name) for name in ("north", "south"))
    AimBackup(north, "b", storage=dynamic(north), target=S3, options=OPTIONS)
    runs = dynamic(south)
    with pytest.raises(OptionError, match="write another prefix") as refused:
        AimBackup(south, "b", storage=runs, target=S3, options=OPTIONS)
    assert refused.value.option == "target"
    AimBackup(south, "b", storage=runs, target=replace(S3, prefix="south"), options=OPTIONS)

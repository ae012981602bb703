from __future__ import annotations

from typing import Any

import cdk8s
import pytest
from syrupy.assertion import SnapshotAssertion

from constructs_lib import DynamicVolume, ExistingClaim, OptionError, Owner, attach, harden
from constructs_lib.plus import kplus
from constructs_lib.pods.json_patches import PodOrWorkload
from tests.harness.building import aim_server, dynamic, rendered, storage
from tests.harness.pod_security import violations

IMAGE = "registry.example.com/train:1"
NONE = kplus.ContainerResources()


def named(name: str) -> cdk8s.ApiObjectMetadata:
    """Metadata with a name only."""
    return cdk8s.ApiObjectMetadata(name=name)


def every_kind(chart: cdk8s.Chart) -> list[PodOrWorkload]:
    """One workload of each kind, each with a container."""
    service = kplus.Service(chart, "service", metadata=named("set"), ports=[kplus.ServicePort(port=80)])
    made: list[PodOrWorkload] = [
        kplus.Pod(chart, "pod", metadata=named("pod")),
        kplus.Job(chart, "job", metadata=named("job")),
        kplus.CronJob(chart, "cron-job", metadata=named("cron-job"), schedule=cdk8s.Cron.daily()),
        kplus.Deployment(chart, "deployment", metadata=named("deployment")),
        kplus.StatefulSet(chart, "stateful-set", metadata=named("stateful-set"), service=service),
        kplus.DaemonSet(chart, "daemon-set", metadata=named("daemon-set")),
    ]
    for workload in made:
        workload.add_container(image=IMAGE, resources=NONE)
    return made


def test_every_kind(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """Pods and all that makes pods mount the volume, know where it is, and run as its owner."""
    store = storage(chart, owner=Owner(uid=1000, gid=2000))
    for workload in every_kind(chart):
        attach(workload, store)
    assert chart == manifests


def test_share_node(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """Over ReadWriteOnce storage, who agrees to it goes to the server's node, whatever kind it is."""
    store = dynamic(chart)
    for workload in every_kind(chart)[:-1]:
        attach(workload, store, share_node=True)
    assert chart == manifests


def test_a_server_of_another_name_is_made_before_pods_share_its_node(chart: cdk8s.Chart) -> None:
    """Made afterwards, pods would look for a name that no pod has, and wait for ever."""
    store, (pod, *_) = dynamic(chart), every_kind(chart)
    attach(pod, store, share_node=True)
    with pytest.raises(OptionError, match="chart/server: name: 'other': make the server first: pods that share"):
        aim_server(chart, "server", storage=store, name="other")
    assert aim_server(chart, "server", storage=store).name == store.name


def test_a_daemon_set_shares_no_node(chart: cdk8s.Chart) -> None:
    """All of its pods but one would wait for ever."""
    with pytest.raises(OptionError, match="chart/daemon-set: share_node: True: record through"):
        attach(every_kind(chart)[-1], dynamic(chart), share_node=True)


def test_what_a_pod_has_stays(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """Its volumes, its variables, its group, a root that it can write to: only what recording needs is added."""
    store = storage(chart)
    job = kplus.Job(chart, "job", metadata=named("job"), security_context=kplus.PodSecurityContextProps(group=7))
    first = job.add_container(
        name="train",
        image=IMAGE,
        resources=NONE,
        security_context=kplus.ContainerSecurityContextProps(read_only_root_filesystem=False, user=10001),
        env_variables={"EPOCHS": kplus.EnvValue.from_value("3")},
    )
    first.mount("/data", kplus.Volume.from_empty_dir(chart, "data", "data"))
    job.add_container(name="log", image=IMAGE, resources=NONE).mount("/aim", store)
    attach(job, store)
    first.mount("/late", kplus.Volume.from_empty_dir(chart, "late", "late"))
    harden(job)
    assert chart == manifests


def test_owner_of_the_cluster(chart: cdk8s.Chart) -> None:
    """Without an owner of ours the cluster gives one user to all pods of the namespace."""
    store = storage(chart, owner="ClusterAssigned")
    job = kplus.Job(chart, "job", security_context=kplus.PodSecurityContextProps(user=5))
    job.add_container(image=IMAGE)
    attach(job, store)
    assert rendered(chart, "Job")["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 5


def a_job(chart: cdk8s.Chart, *, container: dict[str, Any] | None = None, **pod: Any) -> kplus.Job:
    """A Job with one container."""
    job = kplus.Job(chart, "job", **pod)
    job.add_container(image=IMAGE, **(container or {}))
    return job


def as_user(uid: int) -> kplus.ContainerSecurityContextProps:
    """A container that runs as somebody."""
    return kplus.ContainerSecurityContextProps(user=uid)


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"metadata": cdk8s.ApiObjectMetadata(namespace="other")}, "namespace: 'other': put it in .* 'ml'"),
    ({}, {"security_context": kplus.PodSecurityContextProps(user=1000)}, "security_context.user: 1000: .*10001"),
    ({}, {"container": {"security_context": as_user(0)}}, "security_context.user: 0: .*10001"),
    (
        {},
        {"container": {"env_variables": {"AIM_REPO": kplus.EnvValue.from_value("/x")}}},
        r"containers\[main\].env\[AIM_REPO\]: '/x': leave",
    ),
    ({"source": DynamicVolume()}, {}, "access_mode: 'ReadWriteOnce': write share_node=True"),
    ({"access_mode": "ReadWriteOncePod"}, {}, r"access_mode: 'ReadWriteOncePod': record .*add_tracking\(\)"),
]


@pytest.mark.parametrize(("options", "workload", "message"), REFUSED)
def test_what_cannot_record_is_refused(
    chart: cdk8s.Chart, options: dict[str, Any], workload: dict[str, Any], message: str
) -> None:
    """The error names the workload, what is wrong and the way out."""
    with pytest.raises(OptionError, match=f"chart/job: {message}"):
        attach(a_job(chart, **workload), storage(chart, **options))


def test_what_is_no_workload_is_refused(chart: cdk8s.Chart) -> None:
    """A server is none, and the two are not to be swapped."""
    store, deployment = storage(chart), kplus.Deployment(chart, "train")
    with pytest.raises(OptionError, match="workload: 'an AimServer': write a Pod, Job, CronJob, Deployment"):
        attach(aim_server(chart, "server", storage=store), store)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="workload: 'an AimStorage': write a Pod"):
        attach(store, deployment)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="chart/train: storage: 'a Deployment': write an AimStorage, such as server"):
        attach(deployment, deployment)  # type: ignore[arg-type]


def test_a_workload_without_containers_is_refused(chart: cdk8s.Chart) -> None:
    """What is added later would silently record nowhere."""
    with pytest.raises(OptionError, match=r"chart/job: containers: \[\]: add the containers first"):
        attach(kplus.Job(chart, "job"), storage(chart))


@pytest.mark.parametrize("path", ["/aim", "/aim/", "/aim/.aim", "/x/../aim"])
def test_a_place_that_is_taken_is_refused(chart: cdk8s.Chart, path: str) -> None:
    """Another volume there would hide the runs, or be hidden."""
    job = a_job(chart)
    job.containers[0].mount(path, kplus.Volume.from_empty_dir(chart, "data", "data"))
    with pytest.raises(OptionError, match=rf"chart/job: mounts\[{path}\]: 'data': mount it elsewhere"):
        attach(job, storage(chart))


@pytest.mark.parametrize("options", [{"read_only": True}, {"sub_path": "x"}])
def test_a_mount_of_ours_that_cannot_record_is_refused(chart: cdk8s.Chart, options: dict[str, Any]) -> None:
    """Runs would fail, or go where the server does not look."""
    store, job = storage(chart), a_job(chart)
    job.containers[0].mount("/aim", store, **options)
    with pytest.raises(OptionError, match=r"chart/job: mounts\[/aim\]: 'aim-runs': mount it elsewhere"):
        attach(job, store)


def test_a_read_only_claim_of_others_is_refused(chart: cdk8s.Chart) -> None:
    """Nobody can record into it, so there is no storage on it to attach to."""
    claim = ExistingClaim(name="theirs")
    with pytest.raises(OptionError, match="chart/storage: access_mode: 'ReadOnlyMany'"):
        storage(chart, source=claim, size=None, access_mode="ReadOnlyMany")


def test_a_refused_workload_is_as_it_was(chart: cdk8s.Chart) -> None:
    """Nothing is added to the first container when the second is at fault."""
    store, job = storage(chart), a_job(chart)
    job.add_container(name="second", image=IMAGE, env_variables={"AIM_REPO": kplus.EnvValue.from_value("/x")})
    with pytest.raises(OptionError):
        attach(job, store)
    assert [list(each.mounts) for each in job.containers] == [[], []]
    assert not job.containers[0].env.variables


def test_init_containers_are_admitted_and_have_no_volume(chart: cdk8s.Chart) -> None:
    """They run as the owner, hardened like the others, and do not record."""
    job = a_job(chart)
    job.add_init_container(image=IMAGE)
    attach(job, storage(chart))
    harden(job)
    pod = rendered(chart, "Job")["spec"]["template"]["spec"]
    assert list(violations(pod)) == []
    assert "volumeMounts" not in pod["initContainers"][0]

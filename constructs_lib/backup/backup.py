"""`AimBackup`: copies of the repository while its server and its writers go on, and drills of the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cdk8s
from constructs import Construct

from constructs_lib.access.network import NetworkRules
from constructs_lib.backup.backup_options import BackupOptions
from constructs_lib.backup.containers import BackupContainers, Parts
from constructs_lib.backup.restic import backup_script, restore_script
from constructs_lib.backup.targets import BackupTarget
from constructs_lib.errors import below, reported_by, require, require_type
from constructs_lib.kubernetes.names import check_instance_name
from constructs_lib.kubernetes.quantities import Quantity
from constructs_lib.labels import COMPONENT, common_labels
from constructs_lib.plus import kplus
from constructs_lib.pods.image import DEFAULT_IMAGE_OPTIONS, ImageOptions, check_image_options
from constructs_lib.pods.pod import MOUNT_PATH, AimPod
from constructs_lib.pods.pod_options import for_aim
from constructs_lib.pods.supervisor_configmap import Supervisor
from constructs_lib.registry import Entry, check_free, take
from constructs_lib.storage.retention import DESCRIPTION, retention_annotations
from constructs_lib.storage.storage import AimStorage
from constructs_lib.storage.storage_jobs import StorageJobs, check_place, check_supervisor, supervisor_entries
from constructs_lib.storage.storage_options import StorageOptions

BACKUP = "backup"
DRILL = "drill"
RESTORE = "restore"
"""Components of the pods: no selector of a server matches them."""

COPY_FOLDER = "/copy"
"""Where the scratch volume of a drill is mounted."""

_NOMINAL_SIZE = "1Ti"
"""Of an NFS export: Kubernetes matches the claim by it."""


class AimBackup(Construct):
    """Copies of a storage, encrypted, deduplicated and checked by restic, on a schedule; and restore drills.

    A copy is made in one pod: the supervisor stages a consistent copy on the volume of runs, by hard links; restic
    sends what is new in it to the target; the supervisor notes the success. Server and writers go on meanwhile.

    Attributes:
        name: name of the instance.
        storage: what is copied.
        target: where to.
        copying: the CronJob that makes the copies.
        drilling: the CronJob that restores the newest one to a scratch volume, and opens every run of it.
        network_policy: closes both ways for the pods of both, and of restores, but for the target.
    """

    name: str
    storage: AimStorage
    target: BackupTarget
    copying: kplus.CronJob
    drilling: kplus.CronJob
    network_policy: kplus.NetworkPolicy

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        storage: AimStorage,
        target: BackupTarget,
        options: BackupOptions,
        name: str | None = None,
        image: ImageOptions = DEFAULT_IMAGE_OPTIONS,
        supervisor: Supervisor | None = None,
    ) -> None:
        """Make the CronJobs.

        Args:
            scope: a chart in the namespace of the storage, or a construct in one.
            id: of this construct; no name in the cluster comes from it.
            storage: what is copied.
            target: where to: a `BackupVolume`, an `S3Bucket`, or any `ResticRepository`.
            options: everything else.
            name: of the instance, by which its copies are found. Default: that of the storage.
            image: with Aim, as of the server. Default: `docker.io/aimstack/aim:3.29.1`.
            supervisor: that of the server, as `server.supervisor`. Default: one of its own.

        Raises:
            OptionError: an option that cannot work, a ReadWriteOncePod storage, or a storage or supervisor of another
                namespace.
        """
        with reported_by(scope, id):
            chart = cdk8s.Chart.of(scope)
            plan = _plan(chart, storage, target, name, options)
            check_image_options(image)
            check_supervisor(chart, supervisor)
            entries = [*plan.entries, *supervisor_entries(storage, plan.name, BACKUP, supervisor=supervisor)]
            check_free(scope, entries)
        super().__init__(scope, id)
        take(scope, entries, owner=self)
        self.name, self.storage, self.target, self._plan = plan.name, storage, target, plan
        self._jobs = StorageJobs(name=plan.name, storage=storage, options=plan.options)
        self._parts = Parts(
            name=plan.name,
            image=image,
            options=plan.options,
            supervisor=supervisor or self._jobs.make_supervisor(self, BACKUP),
            storage=storage,
            target=target,
            volume=self._make_volume(),
        )
        self.copying = self._make_copying()
        self.drilling = self._make_drilling()
        self.network_policy = self._make_access()

    def _make_volume(self) -> AimStorage | None:
        """Make the claim of the target; it is kept by everything that keeps the runs."""
        source, claim = self.target.source, f"{self.name}-backup"
        if source is None:
            return None
        volume = f"{self.storage.namespace}.{claim}" if source.persistent_volume else None
        named = StorageOptions(access_mode="ReadWriteMany", owner=self.storage.owner or "ClusterAssigned")
        if not source.existing_claim:
            described = {DESCRIPTION: retention_annotations("The volume that copies of the runs are on.")[DESCRIPTION]}
            named = replace(named, size=_NOMINAL_SIZE, claim_name=claim, volume_name=volume, annotations=described)
        return AimStorage(self, "Target", source=source, name=self.name, options=named)

    def _make_copying(self) -> kplus.CronJob:
        options = self._plan.options
        job, pod = self._make_job("Copying", BACKUP, options.schedule, suspend=options.suspend)
        containers = BackupContainers(job, pod=pod, parts=self._parts)
        containers.add_role("finish")
        containers.add_role("stage", init=True)
        script = backup_script(
            name=self.name, flags=self._parts.flags, keep=options.keep, percent=options.check_percent
        )
        restic = containers.add_restic(script)
        pod.mount_claim(restic, MOUNT_PATH, self.storage, read_only=True)
        return job

    def _make_drilling(self) -> kplus.CronJob:
        drill = self._plan.options.drill
        job, pod = self._make_job("Drilling", DRILL, drill.schedule, suspend=drill.suspend)
        containers = BackupContainers(job, pod=pod, parts=self._parts, ephemeral=_with_scratch(drill.size))
        size = cdk8s.Size.mebibytes(_mebibytes(drill.size))
        copy = kplus.Volume.from_empty_dir(job, "Copy", "copy", size_limit=size)
        containers.add_role("drill", "--copy", COPY_FOLDER).mount(COPY_FOLDER, copy)
        script = restore_script(name=self.name, flags=self._parts.flags, snapshot="latest", target=COPY_FOLDER)
        containers.add_restic(script).mount(COPY_FOLDER, copy)
        return job

    def _make_job(self, id: str, component: str, schedule: str, *, suspend: bool) -> tuple[kplus.CronJob, AimPod]:
        make = self._jobs.make_cron_job
        return make(self, id, component=component, what=component, schedule=schedule, suspend=suspend, retries=1)

    def _make_access(self) -> kplus.NetworkPolicy:
        labels = common_labels(self.name, BACKUP)
        del labels[COMPONENT]
        ours = kplus.LabelExpression.in_(COMPONENT, [BACKUP, DRILL, RESTORE])
        pods = kplus.Pods.select(self, "Pods", labels=labels, expressions=[ours])
        rules = NetworkRules(self, "Access", pods=pods, metadata=self._jobs.metadata(f"{self.name}-backup", BACKUP))
        destinations = self._plan.options.allow_to
        if destinations:
            rules.reach(destinations, ())
        elif self.target.port:
            anywhere = (kplus.NetworkPolicyIpBlock.any_ipv4, kplus.NetworkPolicyIpBlock.any_ipv6)
            rules.allow_to([any_ip(self, any_ip.__name__) for any_ip in anywhere], [self.target.port])
        return rules.policy


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The options of a backup, resolved."""

    name: str
    options: BackupOptions
    entries: Sequence[Entry]


def _plan(
    chart: cdk8s.Chart, storage: AimStorage, target: BackupTarget, name: str | None, options: BackupOptions
) -> _Plan:
    """Check the options against the storage and the chart, and resolve them."""
    check_place(chart, storage, instead="use VolumeSnapshots of the driver")
    name = storage.name if name is None else name
    check_instance_name("name", name)
    require_type("target", target, BackupTarget, "write a BackupVolume, an S3Bucket ...")
    target.check()
    require_type("options", options, BackupOptions, "write BackupOptions(password=KeyRef(...))")
    options.check()
    _check_apart(storage, target)
    remedy = "write allow_to: the port of this kind of repository is not known"
    reached = target.source or target.port or options.allow_to
    require(reached, "allow_to", list(options.allow_to), remedy)
    return _Plan(name=name, options=for_aim(options), entries=[*_entries(storage, name), *_copies(target, name)])


def _check_apart(storage: AimStorage, target: BackupTarget) -> None:
    """Reject the volume of the runs as a target: what takes them takes the copies along."""
    source = target.source
    same = source and (
        source.existing_claim == storage.claim_name or (source.identity and source.identity == storage.source.identity)
    )
    require(not same, "target", storage.claim_name, "write another volume: this one has the runs on it")


def _entries(storage: AimStorage, name: str) -> list[Entry]:
    made = [("CronJob", BACKUP), ("CronJob", DRILL), ("NetworkPolicy", BACKUP)]
    return [Entry(kind=kind, place=storage.place, name=f"{name}-{what}", option="name") for kind, what in made]


def _copies(target: BackupTarget, name: str) -> list[Entry]:
    """The copies of an instance are found by its name: another one's, in another namespace, would be taken for them."""
    where = target.source.identity if target.source else target.repository(name)
    taken = "{owner} copies there, too, under the same name; write another prefix, folder or URL"
    return [Entry(kind="copies of", name=f"{name} in {where}", option="target", taken=taken)] if where else []


def _mebibytes(size: object) -> int:
    return max(1, int(Quantity.of_bytes("size", size).amount) // 2**20)  # type: ignore[arg-type]


def _with_scratch(size: object) -> str:
    """The limit of the node's disk for a pod with a scratch volume of a size besides the usual one."""
    with below("drill"):
        return f"{_mebibytes(size) + 5 * 1024}Mi"

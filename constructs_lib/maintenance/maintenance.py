"""`AimMaintenance`: chores on the repository, while its server and its writers go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cdk8s
from constructs import Construct

from constructs_lib.access.network import NetworkRules
from constructs_lib.errors import reported_by, require_type
from constructs_lib.kubernetes.names import check_instance_name
from constructs_lib.labels import common_labels
from constructs_lib.maintenance.maintenance_options import MaintenanceOptions
from constructs_lib.plus import kplus
from constructs_lib.pods.aim_containers import SCRATCH, SCRATCH_SIZE
from constructs_lib.pods.image import DEFAULT_IMAGE_OPTIONS, ImageOptions, check_image_options
from constructs_lib.pods.pod_options import for_aim
from constructs_lib.pods.supervisor_configmap import Supervisor
from constructs_lib.registry import Entry, check_free, take
from constructs_lib.storage.storage import AimStorage
from constructs_lib.storage.storage_jobs import (
    StorageJobs,
    add_role,
    check_place,
    check_supervisor,
    supervisor_entries,
)

MAINTENANCE = "maintenance"
"""Component of the pods: no selector of a server matches them."""

_SELDOM = "@yearly"
"""Schedule of a suspended CronJob, which must have one."""

DEFAULT_MAINTENANCE = MaintenanceOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """A chore, as its CronJob is made.

    Attributes:
        name: of the chore, and the last part of that of its CronJob.
        schedule: when, in cron syntax; None for a suspended CronJob.
        arguments: of the supervisor's role.
    """

    name: str
    schedule: str | None = None
    arguments: Sequence[str] = ()


class AimMaintenance(Construct):
    """Chores on a storage, each a CronJob from which a Job is created by hand, or on a schedule.

    A chore only says what it would do, unless the options or the variable APPLY tell it to do it. Server and writers
    go on: what only the server's indexer may write is asked of it through the volume, so that no pod has a token.

    Attributes:
        name: name of the instance.
        storage: what the chores are on.
        chores: the CronJobs, by the names of the chores.
        network_policy: closes both ways for their pods.
    """

    name: str
    storage: AimStorage
    chores: Mapping[str, kplus.CronJob]
    network_policy: kplus.NetworkPolicy

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        storage: AimStorage,
        options: MaintenanceOptions = DEFAULT_MAINTENANCE,
        name: str | None = None,
        image: ImageOptions = DEFAULT_IMAGE_OPTIONS,
        supervisor: Supervisor | None = None,
    ) -> None:
        """Make the CronJobs.

        Args:
            scope: a chart in the namespace of the storage, or a construct in one.
            id: of this construct; no name in the cluster comes from it.
            storage: what the chores are on.
            options: schedules, ages, and everything of the pods. Default: all suspended, and dry runs.
            name: of the instance. Default: that of the storage.
            image: with Aim, as of the server. Default: `docker.io/aimstack/aim:3.29.1`.
            supervisor: that of the server, as `server.supervisor`. Default: one of its own.

        Raises:
            OptionError: an option that cannot work, a ReadWriteOncePod storage, or a storage or supervisor of another
                namespace.
        """
        with reported_by(scope, id):
            chart = cdk8s.Chart.of(scope)
            check_place(chart, storage, instead="do the chores by kubectl exec in the server's pod")
            name = storage.name if name is None else name
            check_instance_name("name", name)
            require_type("options", options, MaintenanceOptions, "write MaintenanceOptions(...)")
            options.check()
            check_image_options(image)
            check_supervisor(chart, supervisor)
            chores = _chores(options)
            entries = [
                *_entries(storage, name, chores),
                *supervisor_entries(storage, name, MAINTENANCE, supervisor=supervisor),
            ]
            check_free(scope, entries)
        super().__init__(scope, id)
        take(scope, entries, owner=self)
        self.name, self.storage, self._image = name, storage, image
        self._jobs = StorageJobs(name=name, storage=storage, options=for_aim(options))
        self._supervisor = supervisor or self._jobs.make_supervisor(self, MAINTENANCE)
        self.chores = {chore.name: self._make(chore) for chore in chores}
        self.network_policy = self._make_access()

    def _make(self, chore: Chore) -> kplus.CronJob:
        job, pod = self._jobs.make_cron_job(
            self,
            chore.name,
            component=MAINTENANCE,
            what=chore.name,
            schedule=chore.schedule or _SELDOM,
            suspend=chore.schedule is None,
            retries=0,
        )
        container = add_role(
            pod,
            "maintain",
            *("--chore", chore.name, *chore.arguments),
            name=chore.name,
            image=self._image,
            supervisor=self._supervisor,
            storage=self.storage,
            resources=self._jobs.options.resources.with_scratch(),
            env=self._jobs.options.env,
        )
        container.mount(SCRATCH, kplus.Volume.from_empty_dir(job, "Scratch", "tmp", size_limit=SCRATCH_SIZE))
        return job

    def _make_access(self) -> kplus.NetworkPolicy:
        pods = kplus.Pods.select(self, "Pods", labels=common_labels(self.name, MAINTENANCE))
        metadata = self._jobs.metadata(f"{self.name}-maintenance", MAINTENANCE)
        return NetworkRules(self, "Access", pods=pods, metadata=metadata).policy


def _entries(storage: AimStorage, name: str, chores: Sequence[Chore]) -> list[Entry]:
    made = [("NetworkPolicy", MAINTENANCE), *(("CronJob", chore.name) for chore in chores)]
    return [Entry(kind=kind, place=storage.place, name=f"{name}-{what}", option="name") for kind, what in made]


def _chores(options: MaintenanceOptions) -> list[Chore]:
    close, prune, trash = options.close, options.prune, options.empty_trash
    return [
        Chore(name="report", schedule=options.report.schedule, arguments=_older(close.older_than_hours)),
        Chore(name="close", schedule=close.schedule, arguments=_arguments(close.older_than_hours, dry=close.dry_run)),
        Chore(name="prune", schedule=prune.schedule, arguments=_arguments(prune.older_than_hours, dry=prune.dry_run)),
        Chore(name="reindex"),
        Chore(name="recompute"),
        Chore(
            name="empty-trash",
            schedule=trash.schedule,
            arguments=_arguments(24 * trash.older_than_days, dry=trash.dry_run),
        ),
        Chore(name="undelete"),
    ]


def _arguments(hours: int, *, dry: bool) -> list[str]:
    return [*_older(hours), *([] if dry else ["--apply"])]


def _older(hours: int) -> list[str]:
    return ["--older-than", str(3600 * hours)]

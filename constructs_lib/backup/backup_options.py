"""What can be said of a backup."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Interval

from constructs_lib.access.peers import Destination
from constructs_lib.backup.restic import RESTIC_IMAGE, Retention
from constructs_lib.errors import below, require
from constructs_lib.kubernetes.images import check_image
from constructs_lib.kubernetes.names import check_annotations
from constructs_lib.kubernetes.quantities import Quantity
from constructs_lib.labels import check_extra_labels
from constructs_lib.options import Amount, Count, Seconds, indexed
from constructs_lib.pods.environment import KeyRef
from constructs_lib.pods.pod_options import PodOptions
from constructs_lib.pods.resources import Resources

DEFAULT_BACKUP_RESOURCES = Resources(
    requests={"cpu": "100m", "memory": "256Mi"},
    limits={"cpu": "1", "memory": "1Gi"},
)
"""Of each container of a backup; they run one after the other."""

DEFAULT_RETENTION = Retention()

_SCHEDULE = re.compile(r"@(hourly|daily|midnight|weekly|monthly|yearly|annually)|([-*/,\w]+ ){4}[-*/,\w]+", re.ASCII)
_TIME_ZONE = re.compile(r"[A-Za-z][-+\w]*(/[-+\w]+)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOptions:
    """A restore drill: the newest copy is restored to a scratch volume, and every run of it is opened by Aim."""

    schedule: str = "47 4 * * 0"
    """When to drill, in cron syntax. Default: `47 4 * * 0`, on Sundays."""
    suspend: bool = False
    """Drill only when somebody creates a Job from the CronJob. Default: false."""
    size: Amount = "10Gi"
    """Most that the restored copy may take of the node's disk, as a Kubernetes quantity. Default: 10Gi."""

    def check(self) -> None:
        """Reject a faulty schedule or size."""
        check_schedule("schedule", self.schedule)
        Quantity.of_bytes("size", self.size)


DEFAULT_DRILL = DrillOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOptions(PodOptions):
    """When copies are made, which of them are kept, and how they are encrypted. `env` is restic's."""

    password: KeyRef
    """Key of a Secret that has the password of the copies. Keep it outside of the cluster as well: without it, no copy
    can be read by anybody."""
    schedule: str = "17 2 * * *"
    """When to copy, in cron syntax. Default: `17 2 * * *`, every night."""
    time_zone: str | None = None
    """Time zone of both schedules, such as Europe/Berlin. Default: that of the cluster, mostly UTC."""
    suspend: bool = False
    """Copy only when somebody creates a Job from the CronJob. Default: false."""
    keep: Retention = DEFAULT_RETENTION
    """Which copies to keep. Default: those of 7 days, 5 weeks and 12 months, and the newest 3."""
    check_percent: Annotated[int, Interval(ge=1, le=100)] = 5
    """Share of the stored data that is read back after each copy, another one each time: with 5, all of it is read back
    in twenty copies. Default: 5."""
    deadline_seconds: Seconds = 6 * 3600
    """Seconds after which a copy or a drill is ended as failed. Default: 21600, six hours."""
    successful_jobs_history_limit: Count = 3
    """Number of succeeded Jobs to keep. Default: 3."""
    failed_jobs_history_limit: Count = 3
    """Number of failed Jobs to keep. Default: 3."""
    drill: DrillOptions = DEFAULT_DRILL
    """The restore drill, which proves that the newest copy can be restored. Default: on Sundays, with 10Gi of
    scratch space."""
    allow_to: Sequence[Destination] = ()
    """What restic may reach; the cluster's DNS comes with it. Default: for a volume nothing, else every address at the
    port of the target, as a network rule knows no host names."""
    restic_image: str = RESTIC_IMAGE
    """An image with `restic` and `sh` on its PATH. Default: docker.io/restic/restic:0.18.1."""
    resources: Resources = DEFAULT_BACKUP_RESOURCES
    """Requests and limits of each container; they run one after the other. Default: 256Mi to 1Gi of memory, 100m to 1
    CPU; ephemeral-storage as of the server."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels of every object and of the pods. Default: none."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the CronJobs, at most 48 KiB. Default: none."""

    def check(self) -> None:
        """Reject values that cannot work.

        Raises:
            OptionError: names the option.
        """
        PodOptions.check(self)  # `super()` does not work in a class that dataclass has made anew for its slots
        for name in ("password", "keep", "drill"):
            with below(name):
                getattr(self, name).check()
        for destination, where in indexed("allow_to", self.allow_to):
            with below(where):
                destination.check()
        check_schedule("schedule", self.schedule)
        named = self.time_zone is None or _TIME_ZONE.fullmatch(self.time_zone)
        require(named, "time_zone", self.time_zone, "write a name such as Europe/Berlin")
        remedy = "write at least a minute, 60"
        require(self.deadline_seconds >= 60, "deadline_seconds", self.deadline_seconds, remedy)
        check_image("restic_image", self.restic_image)
        self.resources.check()
        check_extra_labels(self.labels)
        check_annotations("annotations", self.annotations)


def check_schedule(option: str, value: str) -> None:
    """Reject what is no schedule of a CronJob."""
    remedy = "write five fields, such as 17 2 * * *, or @daily"
    require(_SCHEDULE.fullmatch(value), option, value, remedy)

"""What can be said of a backup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from constructs_lib.access.peers import Destination
from constructs_lib.backup.restic import RESTIC_IMAGE, Retention
from constructs_lib.errors import below
from constructs_lib.kubernetes.images import check_image
from constructs_lib.kubernetes.quantities import Quantity
from constructs_lib.kubernetes.schedules import check_schedule
from constructs_lib.options import Amount, check_declared, indexed
from constructs_lib.pods.environment import KeyRef
from constructs_lib.pods.job_options import JobOptions

DEFAULT_RETENTION = Retention()


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
        check_declared(self)
        check_schedule("schedule", self.schedule)
        Quantity.of_bytes("size", self.size)


DEFAULT_DRILL = DrillOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOptions(JobOptions):
    """When copies are made, which of them are kept, and how they are encrypted. `env` is restic's."""

    password: KeyRef
    """Key of a Secret that has the password of the copies. Keep it outside of the cluster as well: without it, no copy
    can be read by anybody."""
    schedule: str = "17 2 * * *"
    """When to copy, in cron syntax. Default: `17 2 * * *`, every night."""
    suspend: bool = False
    """Copy only when somebody creates a Job from the CronJob. Default: false."""
    keep: Retention = DEFAULT_RETENTION
    """Which copies to keep. Default: those of 7 days, 5 weeks and 12 months, and the newest 3."""
    check_percent: Annotated[int, Interval(ge=1, le=100)] = 5
    """Share of the stored data that is read back after each copy, another one each time: with 5, all of it is read back
    in twenty copies. Default: 5."""
    drill: DrillOptions = DEFAULT_DRILL
    """The restore drill, which proves that the newest copy can be restored. Default: on Sundays, with 10Gi of
    scratch space."""
    allow_to: Sequence[Destination] = ()
    """What restic may reach; the cluster's DNS comes with it. Default: for a volume nothing, else every address at the
    port of the target, as a network rule knows no host names."""
    restic_image: str = RESTIC_IMAGE
    """An image with `sh` and `restic`, 0.14 or later, on its PATH. Default: docker.io/restic/restic:0.18.1."""

    def check(self) -> None:
        """Reject values that cannot work.

        Raises:
            OptionError: names the option.
        """
        JobOptions.check(self)  # `super()` does not work in a class that dataclass has made anew for its slots
        for name in ("password", "keep", "drill"):
            with below(name):
                getattr(self, name).check()
        for destination, where in indexed("allow_to", self.allow_to):
            with below(where):
                destination.check()
        check_schedule("schedule", self.schedule)
        check_image("restic_image", self.restic_image)

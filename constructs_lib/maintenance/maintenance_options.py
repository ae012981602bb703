"""What can be said of chores."""

from __future__ import annotations

from dataclasses import dataclass

from constructs_lib.errors import below
from constructs_lib.kubernetes.schedules import check_schedule
from constructs_lib.options import Count, check_declared
from constructs_lib.pods.job_options import JobOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chore:
    """What every chore has."""

    schedule: str | None = None
    """When, in cron syntax. Default: only when somebody creates a Job from the CronJob."""

    def check(self) -> None:
        """Reject a faulty schedule, and numbers out of bounds."""
        check_declared(self)
        if self.schedule is not None:
            check_schedule("schedule", self.schedule)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportChore(_Chore):
    """Reads every byte of every run, and reports damaged runs, runs without a writer, and stale locks.

    How long a run is without a writer is said by `close.olderThanHours`.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseChore(_Chore):
    """Closes runs that have no end and no writer, and removes their stale locks."""

    dry_run: bool = True
    """Say only what would be done. Default: true; `APPLY=yes` in the environment of a Job wins."""
    older_than_hours: Count = 1
    """Hours without a change, after which a run without a writer is closed, and said so by `report`. Default: 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneChore(_Chore):
    """Removes deleted runs from the index, and the files that they left."""

    dry_run: bool = True
    """Say only what would be done. Default: true; `APPLY=yes` in the environment of a Job wins."""
    older_than_hours: Count = 24
    """Hours without a change, after which a file is removed. Default: 24."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyTrashChore(_Chore):
    """Removes deleted runs for good."""

    dry_run: bool = True
    """Say only what would be done. Default: true; `APPLY=yes` in the environment of a Job wins."""
    older_than_days: Count = 30
    """Days that a deleted run stays in the trash. Default: 30."""


DEFAULT_CLOSE, DEFAULT_REPORT, DEFAULT_PRUNE = CloseChore(), ReportChore(), PruneChore()
DEFAULT_EMPTY_TRASH = EmptyTrashChore()


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceOptions(JobOptions):
    """Chores on the repository. Each is a CronJob; it is suspended unless it has a schedule."""

    close: CloseChore = DEFAULT_CLOSE
    """Closes runs without a writer. Default: on request only."""
    report: ReportChore = DEFAULT_REPORT
    """Reports damaged runs, runs without a writer, and stale locks; changes nothing. Default: on request only."""
    prune: PruneChore = DEFAULT_PRUNE
    """Removes what is left of deleted runs. Default: on request only."""
    empty_trash: EmptyTrashChore = DEFAULT_EMPTY_TRASH
    """Removes deleted runs for good. Default: on request only."""

    def check(self) -> None:
        """Reject values that cannot work.

        Raises:
            OptionError: names the option.
        """
        JobOptions.check(self)  # `super()` does not work in a class that dataclass has made anew for its slots
        for name in ("close", "report", "prune", "empty_trash"):
            with below(name):
                getattr(self, name).check()

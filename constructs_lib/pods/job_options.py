"""Options of pods that run to their end, on a schedule or when somebody creates a Job."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from constructs_lib.errors import require
from constructs_lib.kubernetes.names import check_annotations
from constructs_lib.labels import check_extra_labels
from constructs_lib.options import Count, Seconds
from constructs_lib.pods.environment import EnvVar, check_environment
from constructs_lib.pods.pod_options import PodOptions
from constructs_lib.pods.resources import Resources

DEFAULT_JOB_RESOURCES = Resources(
    requests={"cpu": "100m", "memory": "256Mi"},
    limits={"cpu": "1", "memory": "1Gi"},
)
"""Of each container of a Job; they run one after the other."""

_TIME_ZONE = re.compile(r"[A-Za-z][-+\w]*(/[-+\w]+)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions(PodOptions):
    """Times, history, resources and metadata of CronJobs."""

    time_zone: str | None = None
    """Time zone of the schedules, such as Europe/Berlin. Default: that of the cluster, mostly UTC."""
    deadline_seconds: Seconds = 6 * 3600
    """Seconds after which a Job is ended as failed. Default: 21600, six hours."""
    successful_jobs_history_limit: Count = 3
    """Number of succeeded Jobs to keep. Default: 3."""
    failed_jobs_history_limit: Count = 3
    """Number of failed Jobs to keep. Default: 3."""
    env: Sequence[EnvVar] = ()
    """Further environment variables of the container that does the work: Aim, or restic. Default: none."""
    resources: Resources = DEFAULT_JOB_RESOURCES
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
        named = self.time_zone is None or _TIME_ZONE.fullmatch(self.time_zone)
        require(named, "time_zone", self.time_zone, "write a name such as Europe/Berlin")
        remedy = "write at least a minute, 60"
        require(self.deadline_seconds >= 60, "deadline_seconds", self.deadline_seconds, remedy)
        check_environment("env", self.env)
        self.resources.check()
        check_extra_labels(self.labels)
        check_annotations("annotations", self.annotations)

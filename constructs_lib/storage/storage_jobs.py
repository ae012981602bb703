"""Jobs on a storage, beside the server that has it: backups, restores and chores are made of these."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cdk8s
from constructs import Construct

from constructs_lib.errors import require, require_type
from constructs_lib.labels import SERVER, common_labels
from constructs_lib.plus import ADDRESS_LABEL, kplus, patch
from constructs_lib.pods.environment import EnvVar
from constructs_lib.pods.image import ImageOptions
from constructs_lib.pods.job_options import JobOptions
from constructs_lib.pods.json_patches import PodOrWorkload
from constructs_lib.pods.pod import MOUNT_PATH, AimPod
from constructs_lib.pods.resources import Resources
from constructs_lib.pods.security import pod_security_context
from constructs_lib.pods.supervisor_configmap import WORKING_DIR, Supervisor, config_map_names
from constructs_lib.registry import Entry, config_maps
from constructs_lib.storage.storage import AimStorage, check_namespaces, check_storage

GRACE_PERIOD = cdk8s.Duration.seconds(60)

_STARTING_DEADLINE = cdk8s.Duration.hours(1)
"""A Job that could not begin in time, as the control plane was away, is made up for within this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageJobs:
    """Makes CronJobs on a storage.

    Attributes:
        name: of the instance.
        storage: where the runs are.
        options: of all of them.
    """

    name: str
    storage: AimStorage
    options: JobOptions

    def make_cron_job(
        self, scope: Construct, id: str, *, component: str, what: str, schedule: str, suspend: bool, retries: int
    ) -> tuple[kplus.CronJob, AimPod]:
        """Make a CronJob without containers, and wrap its pod.

        Args:
            scope: of the construct.
            id: of the construct.
            component: of its pods.
            what: the last part of its name.
            schedule: when, in cron syntax.
            suspend: whether it waits for somebody to create a Job from it.
            retries: how often a failed pod is made anew.
        """
        options = self.options
        job = kplus.CronJob(
            scope,
            id,
            metadata=self.metadata(f"{self.name}-{what}", component),
            pod_metadata=self.metadata(None, component),
            schedule=cdk8s.Cron(),
            time_zone=options.time_zone,
            suspend=suspend,
            concurrency_policy=kplus.ConcurrencyPolicy.FORBID,
            starting_deadline=_STARTING_DEADLINE,
            active_deadline=cdk8s.Duration.seconds(options.deadline_seconds),
            backoff_limit=retries,
            successful_jobs_retained=options.successful_jobs_history_limit,
            failed_jobs_retained=options.failed_jobs_history_limit,
            termination_grace_period=GRACE_PERIOD,
            security_context=pod_security_context(self.storage.owner),
        )
        patch(job, {"/spec/schedule": schedule})
        job.pod_metadata.add_label(ADDRESS_LABEL, f"aim-{what}.{self.name}")
        self.colocate(job)
        return job, self.pod_of(job)

    def make_supervisor(self, scope: Construct, component: str) -> Supervisor:
        """Make a supervisor for the pods of a component, which have none of a server's.

        Args:
            scope: of the construct.
            component: of the pods.
        """
        prefix, metadata = _prefix(self.name, component), functools.partial(self.metadata, component=component)
        return Supervisor(scope, "Supervisor", source="ConfigMap", prefix=prefix, metadata=metadata)

    def colocate(self, workload: kplus.Workload) -> None:
        """Run a pod on the server's node, where the volume of runs can be on one node only."""
        if self.storage.access_mode == "ReadWriteOnce":
            server = common_labels(self.storage.server_name, SERVER)
            workload.scheduling.colocate(kplus.Pods.select(workload, "AimServer", labels=server))

    def pod_of(self, workload: PodOrWorkload) -> AimPod:
        """Wrap a workload, with the scheduling that the options say; containers get variables of their own."""
        return AimPod(workload, options=self.options)

    def metadata(self, name: str | None, component: str) -> cdk8s.ApiObjectMetadata:
        """Make the metadata of one of the objects, or of a pod, which has no name."""
        labels = {**self.options.labels, **common_labels(self.name, component)}
        annotations = dict(self.options.annotations) if name else {}
        return cdk8s.ApiObjectMetadata(name=name, labels=labels, annotations=annotations or None)


def add_role(
    pod: AimPod,
    role: str,
    *arguments: str,
    name: str | None = None,
    image: ImageOptions,
    supervisor: Supervisor,
    storage: AimStorage,
    resources: Resources,
    env: Sequence[EnvVar] = (),
    init: bool = False,
) -> kplus.Container:
    """Add a container with Aim in which the supervisor has a role on the volume of runs.

    Args:
        pod: to add to.
        role: of the supervisor.
        arguments: of the role.
        name: of the container. Default: that of the role.
        image: with Aim.
        supervisor: how it comes into the pod.
        storage: where the runs are.
        resources: of the container.
        env: environment variables. Default: none.
        init: whether it runs before the others. Default: False.
    """
    container = pod.add_container(
        name=name or role,
        image=image,
        command=["python3", "-m", "supervisor", role, "--repository", MOUNT_PATH, *arguments, *supervisor.options],
        working_dir=WORKING_DIR,
        resources=resources,
        env=env,
        store=storage,
        init=init,
    )
    supervisor.mount_in(container)
    return container


def supervisor_entries(
    storage: AimStorage, name: str, component: str, *, supervisor: Supervisor | None
) -> Sequence[Entry]:
    """ConfigMaps of the supervisor that is made for a component.

    Args:
        storage: where the runs are.
        name: of the instance.
        component: of the pods.
        supervisor: that of a server, with which none is made.
    """
    names = {} if supervisor else config_map_names(_prefix(name, component), "ConfigMap")
    return config_maps(names.values(), place=storage.place, option="name")


def _prefix(name: str, component: str) -> str:
    return f"{name}-{component}"


def check_supervisor(chart: cdk8s.Chart, supervisor: Supervisor | None) -> None:
    """Reject a supervisor whose ConfigMaps the pods of a chart cannot mount.

    Args:
        chart: of the pods.
        supervisor: of a server; None for one that is made for them.

    Raises:
        OptionError: no supervisor, or one of another namespace.
    """
    remedy = "write the supervisor of a server, as server.supervisor; or leave it out"
    require_type("supervisor", supervisor, (Supervisor, type(None)), remedy)
    if supervisor and supervisor.config_maps:
        check_namespaces("supervisor", chart, cdk8s.Chart.of(supervisor).namespace)


def check_place(chart: cdk8s.Chart, storage: AimStorage, *, instead: str) -> None:
    """Reject a storage that a second pod cannot mount.

    Args:
        chart: of the Jobs.
        storage: where the runs are.
        instead: what to do with a volume of one pod.

    Raises:
        OptionError: no storage, one of another namespace, or a ReadWriteOncePod one.
    """
    check_storage(chart, storage)
    remedy = f"write ReadWriteOnce, or {instead}: only the server's pod can mount this volume"
    require(storage.access_mode != "ReadWriteOncePod", "access_mode", storage.access_mode, remedy)

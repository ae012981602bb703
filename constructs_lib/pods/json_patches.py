"""Fields of a pod that cdk8s-plus-27 cannot express, set and removed in what it renders.

JSON patches go by position and are applied in order. They are made here only: elsewhere, a container is changed by the
container itself (`AimPod`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from constructs_lib.errors import OptionError, require_type
from constructs_lib.options import camel
from constructs_lib.plus import identity, kplus, patch

PodOrWorkload = kplus.Pod | kplus.Workload
"""Pod, Job, CronJob, Deployment, StatefulSet or DaemonSet."""


def check_workload(workload: object) -> None:
    """Reject what has no pod."""
    remedy = "write a Pod, Job, CronJob, Deployment, StatefulSet or DaemonSet of cdk8s-plus"
    require_type("workload", workload, (kplus.Pod, kplus.Workload), remedy)


def set_fields(workload: PodOrWorkload, fields: Mapping[str, object], *, without: Sequence[str] = ()) -> None:
    """Set fields, by JSON pointers below the pod's spec, and remove some of the object (`defaults_of`)."""
    patch(workload, {f"{_spec(workload)}/{field}": value for field, value in fields.items()}, without=without)


def remove_field(workload: PodOrWorkload, field: str) -> None:
    """Remove a field that the API server drops: with it, every `kubectl apply` would answer "configured"."""
    patch(workload, without=[f"{_spec(workload)}/{field}"])


def defaults_of(workload: PodOrWorkload) -> list[str]:
    """JSON pointers of what cdk8s-plus always writes and the API server drops: see `remove_field`."""
    host_network = [] if workload.host_network else [f"{_spec(workload)}/hostNetwork"]
    waits = isinstance(workload, kplus.Deployment | kplus.StatefulSet) and workload.min_ready.to_seconds()
    waits = waits or (isinstance(workload, kplus.DaemonSet) and workload.min_ready_seconds)
    return [*host_network, *([] if waits else ["/spec/minReadySeconds"])]


@functools.cache
def path_of(workload: PodOrWorkload, container: kplus.Container) -> str:
    """Where a container stands below the pod's spec; containers are only ever added at the end.

    Raises:
        OptionError: it is in another pod.
    """
    for group in ("containers", "init_containers"):
        for index, member in enumerate(getattr(workload, group)):
            if identity(member) == identity(container):
                return f"{camel(group)}/{index}"
    remedy = f"name a container of this pod, {workload.node.path}"
    raise OptionError("container", container.name, remedy)


def path_of_volume(workload: PodOrWorkload, volume: kplus.Volume) -> str:
    """Where a volume stands below the pod's spec.

    A pod's volumes are in the order of its containers' mounts, and then of its init containers': mount further ones in
    the last of them only, or this moves.
    """
    containers = [*workload.containers, *workload.init_containers]
    names = list(dict.fromkeys(mount.volume.name for container in containers for mount in container.mounts))
    return f"volumes/{names.index(volume.name)}"


def _spec(workload: PodOrWorkload) -> str:
    if isinstance(workload, kplus.Pod):
        return "/spec"
    return "/spec/jobTemplate/spec/template/spec" if isinstance(workload, kplus.CronJob) else "/spec/template/spec"

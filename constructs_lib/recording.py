"""What a workload needs to record runs."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from constructs_lib.errors import require
from constructs_lib.labels import SERVER, common_labels
from constructs_lib.plus import kplus
from constructs_lib.pods import PodOrWorkload, add_to_pod, leave_out_defaults, leave_out_of_pod
from constructs_lib.process import REPOSITORY

if TYPE_CHECKING:
    from constructs_lib.storage import AimStorage

VARIABLE = "AIM_REPO"
"""What names the repository to a container: `aim.Run(repo=os.environ["AIM_REPO"])`. Aim itself reads no variable."""

_ONE_NODE = kplus.PersistentVolumeAccessMode.READ_WRITE_ONCE
_ONE_POD = kplus.PersistentVolumeAccessMode.READ_WRITE_ONCE_POD


def check_nameless(container: kplus.Container) -> None:
    """Refuse a container that has the variable already."""
    taken = container.env.variables.get(VARIABLE)
    value = taken and (taken.value or "from elsewhere")
    remedy = f"leave {VARIABLE} out, and attach or connect a container once: it records into one repository"
    require(taken is None, f"containers[{container.name}].env[{VARIABLE}]", value, remedy)


def name_repository(container: kplus.Container, repository: str) -> None:
    """Tell a container where to record: a folder, or the URL of a tracking server."""
    check_nameless(container)
    container.env.add_variable(VARIABLE, kplus.EnvValue.from_value(repository))


def check_can_record(storage: AimStorage, workload: PodOrWorkload, *, share_node: bool) -> None:
    """Refuse a workload that could not mount the volume, or not write to it."""
    namespace, containers = workload.metadata.namespace, workload.containers
    remedy = f"put it in the namespace of the claim, {storage.namespace!r}, or record through server.add_tracking()"
    require(namespace == storage.namespace, "namespace", namespace, remedy)
    alone = not (share_node and isinstance(workload, kplus.DaemonSet))
    remedy = "record through server.add_tracking(): a DaemonSet has pods on every node, the volume is on one"
    require(alone, "share_node", share_node, remedy)
    require(containers, "containers", [], "add the containers first: those that it has so far can record")
    _check_access(storage, share_node=share_node)
    uids = [workload.security_context.user, *(container.security_context.user for container in containers)]
    for uid in uids if storage.owner else ():
        remedy = f"leave it out, or set the storage's owner: only uid {storage.owner and storage.owner.uid} can write"
        require(uid in {None, storage.owner and storage.owner.uid}, "security_context.user", uid, remedy)
    for container in containers:
        check_nameless(container)
        for mount in container.mounts:
            _check_mount(storage, mount)


def _check_mount(storage: AimStorage, mount: kplus.VolumeMount) -> None:
    """Refuse what would hide the runs, or keep them from being written."""
    path, name = posixpath.normpath(mount.path), mount.volume.name
    whole = not (mount.read_only or mount.sub_path or mount.sub_path_expr)
    ours = path == REPOSITORY and name == storage.as_volume().name and whole
    beside = path != REPOSITORY and not path.startswith(f"{REPOSITORY}/")
    remedy = f"mount it elsewhere: the volume that the runs are on is mounted at {REPOSITORY}, whole and to be written"
    require(ours or beside, f"mounts[{mount.path}]", name, remedy)


def _check_access(storage: AimStorage, *, share_node: bool) -> None:
    remedy = "record through server.add_tracking(): a ReadWriteOncePod claim is the server's alone"
    require(storage.access_mode is not _ONE_POD, "access_mode", "ReadWriteOncePod", remedy)
    remedy = (
        "write share_node=True to run on the server's node, as the volume can be on one only; "
        "or record through server.add_tracking()"
    )
    require(share_node or storage.access_mode is not _ONE_NODE, "access_mode", "ReadWriteOnce", remedy)


def let_record(storage: AimStorage, workload: PodOrWorkload, *, share_node: bool) -> None:
    """Mount the volume, name it, become its owner, and go to its node."""
    volume = storage.as_volume()
    for container in workload.containers:
        if REPOSITORY not in {posixpath.normpath(mount.path) for mount in container.mounts}:
            container.mount(REPOSITORY, storage)
        name_repository(container, REPOSITORY)
    if storage.owner:
        add_to_pod(workload, {"securityContext/runAsUser": storage.owner.uid})
        if workload.security_context.group is None:
            add_to_pod(workload, {"securityContext/runAsGroup": storage.owner.gid})
    if share_node:
        server = kplus.Pods.select(workload, "AimServer", labels=common_labels(storage.name, SERVER))
        workload.scheduling.colocate(server)
    # a pod's volumes are in the order of its containers' mounts: nothing that is mounted later comes before
    volumes = list(dict.fromkeys(mount.volume.name for mount in workload.containers[0].mounts))
    leave_out_of_pod(workload, f"volumes/{volumes.index(volume.name)}/persistentVolumeClaim/readOnly")
    leave_out_defaults(workload)

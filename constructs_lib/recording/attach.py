"""Lets pods record runs over the volume."""

from __future__ import annotations

import posixpath

from constructs_lib.declarations import check_type
from constructs_lib.errors import reported_by, require, require_type
from constructs_lib.labels import SERVER, common_labels
from constructs_lib.plus import kplus
from constructs_lib.pods.json_patches import (
    PodOrWorkload,
    check_workload,
    defaults_of,
    path_of_volume,
    remove_field,
    set_fields,
)
from constructs_lib.pods.pod import MOUNT_PATH
from constructs_lib.recording.variable import check_free, set_repository
from constructs_lib.storage.storage import AimStorage


def attach(workload: PodOrWorkload, storage: AimStorage, *, share_node: bool = False) -> None:
    """Let a workload record runs over the volume: `aim.Run(repo=os.environ["AIM_REPO"])`, in each of its containers.

    The volume is mounted at `/aim`, the variable `AIM_REPO` says so, and the pod runs as the storage's owner: Aim's
    files are 0644, so no other user can write to them, not even one of the owner's group with umask 002 (measured).
    Init containers run as the owner, too, and have neither volume nor variable. Nothing else is touched: a training
    image may need a root that it can write to.

    Args:
        workload: a Pod, Job, CronJob, Deployment, StatefulSet or DaemonSet in the storage's namespace, with all of its
            containers.
        storage: where it records.
        share_node: run on the node of the server, and wait for one that has it. Required for ReadWriteOnce storage,
            which can be on one node only. For short Jobs: a long-running pod holds the volume on its node when the
            server has to leave that, so record through `AimServer.add_tracking` then. Default: False.

    Raises:
        OptionError: no workload or no storage, another namespace, no container, ReadWriteOncePod, ReadWriteOnce without
            `share_node`, another user id, `/aim` or `AIM_REPO` taken, or a DaemonSet that would share a node.
    """
    check_workload(workload)
    with reported_by(workload):
        require_type("storage", storage, AimStorage, "write an AimStorage, such as server.storage")
        check_type("share_node", share_node, bool)
        _check_workload(workload, storage, share_node=share_node)
        _check_access(storage, share_node=share_node)
        _check_user(workload, storage)
        for container in workload.containers:
            check_free(container)
            for mount in container.mounts:
                _check_mount(storage, mount)
    _mount(workload, storage)
    _set_owner(workload, storage)
    if share_node:
        server = kplus.Pods.select(workload, "AimServer", labels=common_labels(storage.server_name, SERVER))
        workload.scheduling.colocate(server)


def _check_workload(workload: PodOrWorkload, storage: AimStorage, *, share_node: bool) -> None:
    namespace, containers = workload.metadata.namespace, workload.containers
    remedy = f"put it in the namespace of the claim, {storage.namespace!r}, or record through server.add_tracking()"
    require(namespace == storage.namespace, "namespace", namespace, remedy)
    alone = not (share_node and isinstance(workload, kplus.DaemonSet))
    remedy = "record through server.add_tracking(): a DaemonSet has pods on every node, the volume is on one"
    require(alone, "share_node", share_node, remedy)
    require(containers, "containers", [], "add the containers first: those that it has so far can record")


def _check_access(storage: AimStorage, *, share_node: bool) -> None:
    remedy = "record through server.add_tracking(): a ReadWriteOncePod claim is the server's alone"
    require(storage.access_mode != "ReadWriteOncePod", "access_mode", "ReadWriteOncePod", remedy)
    remedy = (
        "write share_node=True to run on the server's node, as the volume can be on one only; "
        "or record through server.add_tracking()"
    )
    require(share_node or storage.access_mode != "ReadWriteOnce", "access_mode", "ReadWriteOnce", remedy)


def _check_user(workload: PodOrWorkload, storage: AimStorage) -> None:
    uids = [workload.security_context.user, *(each.security_context.user for each in workload.containers)]
    for uid in uids if storage.owner else ():
        remedy = f"leave it out, or set the storage's owner: only uid {storage.owner and storage.owner.uid} can write"
        require(uid in {None, storage.owner and storage.owner.uid}, "security_context.user", uid, remedy)


def _check_mount(storage: AimStorage, mount: kplus.VolumeMount) -> None:
    """Reject a mount that would hide the runs, or keep them from being written."""
    path, name = posixpath.normpath(mount.path), mount.volume.name
    whole = not (mount.read_only or mount.sub_path or mount.sub_path_expr)
    store = path == MOUNT_PATH and name == storage.as_volume().name and whole
    beside = path != MOUNT_PATH and not path.startswith(f"{MOUNT_PATH}/")
    remedy = f"mount it elsewhere: the volume that the runs are on is mounted at {MOUNT_PATH}, whole and to be written"
    require(store or beside, f"mounts[{mount.path}]", name, remedy)


def _mount(workload: PodOrWorkload, storage: AimStorage) -> None:
    for container in workload.containers:
        if MOUNT_PATH not in {posixpath.normpath(mount.path) for mount in container.mounts}:
            container.mount(MOUNT_PATH, storage)
        set_repository(container, MOUNT_PATH)
    remove_field(workload, f"{path_of_volume(workload, storage.as_volume())}/persistentVolumeClaim/readOnly")


def _set_owner(workload: PodOrWorkload, storage: AimStorage) -> None:
    if storage.owner:
        set_fields(workload, {"securityContext/runAsUser": storage.owner.uid})
        if workload.security_context.group is None:
            set_fields(workload, {"securityContext/runAsGroup": storage.owner.gid})
    set_fields(workload, {}, without=defaults_of(workload))

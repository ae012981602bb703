"""Pod Security "restricted" for every pod, and what that standard leaves open.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from constructs_lib.errors import require_type
from constructs_lib.plus import k8s, kplus
from constructs_lib.pods.json_patches import PodOrWorkload, check_workload, defaults_of, path_of, set_fields
from constructs_lib.pods.owner import Owner


def pod_security_context(owner: Owner | None) -> kplus.PodSecurityContextProps:
    """Make the security context of a pod that runs as the owner of a storage.

    Args:
        owner: None leaves user and group to the cluster (OpenShift).

    Raises:
        OptionError: another type, or an id that cannot be.
    """
    require_type("owner", owner, (Owner, type(None)), "write an Owner, such as storage.owner")
    if owner:
        owner.check()
    uid, gid = (owner.uid, owner.gid) if owner else (None, None)
    return kplus.PodSecurityContextProps(
        user=uid,
        group=gid,
        # of block volumes only: the kubelet leaves NFS and host paths as they are
        fs_group=gid,
        ensure_non_root=True,
        # a recursive chown at every start takes hours on a large volume (kubernetes/kubernetes#69699)
        fs_group_change_policy=kplus.FsGroupChangePolicy.ON_ROOT_MISMATCH,
    )


def harden(workload: PodOrWorkload) -> None:
    """Bring a pod and its containers to Pod Security "restricted", with the fields that cdk8s-plus-27 lacks.

    Pods of this library are hardened already; it is for workloads of your own.

    Args:
        workload: with all of its containers.

    Raises:
        OptionError: it has no pod.
    """
    check_workload(workload)
    harden_pod(workload)
    for container in (*workload.containers, *workload.init_containers):
        harden_container(workload, container)


def harden_pod(workload: PodOrWorkload, fields: Mapping[str, object] = MappingProxyType({})) -> None:
    """Restrict a pod, but not its containers, and set further fields of it."""
    # a pod with a field for each Service of its namespace takes longer to start, and learns of them all
    own = {"securityContext/seccompProfile": k8s.SeccompProfile(type="RuntimeDefault"), "enableServiceLinks": False}
    set_fields(workload, {**own, **fields}, without=defaults_of(workload))


def harden_container(workload: PodOrWorkload, container: kplus.Container) -> None:
    """Restrict one container of a pod."""
    fields = {
        "securityContext/capabilities": k8s.Capabilities(drop=["ALL"]),
        # `kubectl describe pod` shows the last lines of the log, which say why it ended
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    path = path_of(workload, container)
    set_fields(workload, {f"{path}/{field}": value for field, value in fields.items()})

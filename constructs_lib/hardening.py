"""The security of every pod: Pod Security "restricted", and what it leaves open.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from constructs_lib.plus import k8s, kplus
from constructs_lib.pods import PodOrWorkload, add_to_pod, leave_out_defaults
from constructs_lib.storage import Owner


def pod_security_context(owner: Owner | None) -> kplus.PodSecurityContextProps:
    """The pod's identity: the owner of the storage, or whatever the cluster gives (OpenShift).

    The group of the volume's root follows on block volumes only: the kubelet leaves NFS and host paths as they are.
    """
    uid, gid = (owner.uid, owner.gid) if owner else (None, None)
    return kplus.PodSecurityContextProps(
        user=uid,
        group=gid,
        fs_group=gid,
        ensure_non_root=True,
        # a recursive chown at every start takes hours on a large volume (kubernetes/kubernetes#69699)
        fs_group_change_policy=kplus.FsGroupChangePolicy.ON_ROOT_MISMATCH,
    )


def harden(workload: PodOrWorkload) -> None:
    """Add to a pod, and to the containers that it has so far, what cdk8s-plus-27 has no words for."""
    seccomp = k8s.SeccompProfile(type="RuntimeDefault")
    add_to_pod(workload, {"securityContext/seccompProfile": seccomp, "enableServiceLinks": False})
    leave_out_defaults(workload)
    for index in range(len(workload.containers)):
        harden_container(workload, f"containers/{index}")
    for index in range(len(workload.init_containers)):
        harden_container(workload, f"initContainers/{index}")


def harden_container(workload: PodOrWorkload, container: str) -> None:
    """Add to one container of a pod what cdk8s-plus-27 has no words for."""
    fields = {
        "securityContext/capabilities": k8s.Capabilities(drop=["ALL"]),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    add_to_pod(workload, {f"{container}/{field}": value for field, value in fields.items()})

"""The security of every pod: Pod Security "restricted", and what it leaves open.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

import cdk8s

from constructs_lib.plus import k8s, kplus
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


def harden(workload: kplus.Workload) -> None:
    """Add to a workload with one container what cdk8s-plus-27 has no words for."""
    container = "/spec/template/spec/containers/0"
    capabilities = k8s.Capabilities(drop=["ALL"])
    seccomp = k8s.SeccompProfile(type="RuntimeDefault")
    cdk8s.ApiObject.of(workload).add_json_patch(
        cdk8s.JsonPatch.add("/spec/template/spec/securityContext/seccompProfile", seccomp),
        cdk8s.JsonPatch.add("/spec/template/spec/enableServiceLinks", False),
        cdk8s.JsonPatch.add(f"{container}/securityContext/capabilities", capabilities),
        cdk8s.JsonPatch.add(f"{container}/terminationMessagePolicy", "FallbackToLogsOnError"),
        # the API server drops a false here, and every kubectl apply would answer "configured"
        cdk8s.JsonPatch.remove("/spec/template/spec/hostNetwork"),
    )

"""Pod Security "restricted", written from the published standard, so that a pod is judged as an API server judges it.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/ (Baseline and Restricted, Linux). Controls
that need a field to be set (host ports, sysctls, SELinux, AppArmor, procMount, volume types ...) refuse what is set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
}
_SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(pod: dict[str, Any]) -> Iterator[str]:
    """What a pod's spec does that "restricted" forbids."""
    context = pod.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield f"{field} is true"
    for volume in pod.get("volumes", []):
        yield from (f"volume {volume['name']} is a {kind}" for kind in volume.keys() - {"name"} - _VOLUMES)
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    yield from _privileges("pod", context)
    for container in [*pod["containers"], *pod.get("initContainers", []), *pod.get("ephemeralContainers", [])]:
        yield from _container(container, context)


def _container(container: dict[str, Any], pod_context: dict[str, Any]) -> Iterator[str]:
    name, context = container["name"], container.get("securityContext", {})
    effective = {**pod_context, **context}
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    if effective.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot is not true"
    if effective.get("seccompProfile", {}).get("type") not in _SECCOMP:
        yield f"{name}: no seccomp profile"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name}: does not drop ALL capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name}: adds capabilities"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name}: has a host port"
    yield from _privileges(name, context)


def _privileges(name: str, context: dict[str, Any]) -> Iterator[str]:
    if context.get("privileged"):
        yield f"{name}: privileged"
    if context.get("runAsUser") == 0:
        yield f"{name}: runs as root"
    if context.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    for field in ("seLinuxOptions", "appArmorProfile", "windowsOptions"):
        if field in context:
            yield f"{name}: sets {field}"

"""What schemas do not know about a set of manifests, each rule a function from manifests to what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.harness.pod_security import violations

Manifest = dict[str, Any]

_CLUSTER_SCOPED = {"Namespace", "PersistentVolume"}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAMES = {"Namespace": _LABEL, "Service": _SERVICE}
_HASH = re.compile(r"-c8[0-9a-f]{6}\b|\bc8[0-9a-f]{38,}")

_MOST_ANNOTATED = 192 * 1024
"""Three quarters of what the API server takes, so that this is noticed before nobody can apply."""


def problems(manifests: list[Manifest]) -> list[str]:
    """Everything that is wrong with a set of manifests that is applied together."""
    rules = (_identity, _storage, _pods, _references, _closed, _carried)
    return [f"{manifest['kind']}: {text}" for rule in rules for manifest, text in rule(manifests)]


def pod_template(manifest: Manifest) -> Manifest | None:
    """The pod template of a workload; None for anything else."""
    spec = manifest.get("spec", {}).get("jobTemplate", manifest).get("spec", {})
    template: Manifest | None = spec.get("template")
    return template


def pod_of(manifests: list[Manifest]) -> Manifest:
    """The pod of the one workload among manifests."""
    (template,) = filter(None, map(pod_template, manifests))
    spec: Manifest = template["spec"]
    return spec


def _identity(manifests: list[Manifest]) -> Iterator[tuple[Manifest, str]]:
    seen = set()
    for manifest in manifests:
        metadata = manifest["metadata"]
        name = metadata.get("name", "")
        if not _NAMES.get(manifest["kind"], _SUBDOMAIN).fullmatch(name):
            yield manifest, f"name {name!r}"
        if (manifest["kind"] in _CLUSTER_SCOPED) is bool(metadata.get("namespace")):
            yield manifest, f"namespace {metadata.get('namespace')!r}"
        if _HASH.search(str(manifest)):
            yield manifest, "a hash of a construct path"
        key = (manifest["kind"], metadata.get("namespace"), name)
        if key in seen:
            yield manifest, f"{key} twice"
        seen.add(key)


def _storage(manifests: list[Manifest]) -> Iterator[tuple[Manifest, str]]:
    kept = {"Namespace", "PersistentVolume", "PersistentVolumeClaim"}
    for manifest in (manifest for manifest in manifests if manifest["kind"] in kept):
        labels, annotations = manifest["metadata"]["labels"], manifest["metadata"]["annotations"]
        if labels.get("app.kubernetes.io/component") != "storage":
            yield manifest, "the documented uninstall would delete it"
        if annotations.get("argocd.argoproj.io/sync-options") != "Prune=false,Delete=false":
            yield manifest, "Argo CD would delete it"
        if annotations.get("argocd.argoproj.io/compare-options") != "IgnoreExtraneous":
            yield manifest, "Argo CD would synchronise for ever when it is gone from the source"
        if annotations.get("kustomize.toolkit.fluxcd.io/prune") != "disabled":
            yield manifest, "Flux would delete it"
        spec = manifest["spec"]
        if manifest["kind"] == "PersistentVolume" and spec["persistentVolumeReclaimPolicy"] != "Retain":
            yield manifest, "deleting the claim would delete the runs"
        if manifest["kind"] == "PersistentVolumeClaim":
            if not spec.get("accessModes"):
                yield manifest, "no access mode"
            if not spec.get("resources", {}).get("requests", {}).get("storage"):
                yield manifest, "no request"


def _pods(manifests: list[Manifest]) -> Iterator[tuple[Manifest, str]]:
    for manifest in manifests:
        template = pod_template(manifest)
        if template:
            yield from ((manifest, violation) for violation in violations(template["spec"]))
            yield from ((manifest, text) for text in _probes(template["spec"]))
            yield from ((manifest, text) for text in _scratch(template["spec"]))


def _probes(pod: Manifest) -> Iterator[str]:
    """Probes of ports that their container does not have."""
    for container in pod["containers"]:
        ports = {port["containerPort"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            if port not in ports | {None}:
                yield f"{probe} asks port {port}"


def _scratch(pod: Manifest) -> Iterator[str]:
    """Containers with Aim in them that have no place for temporary files, and any whose files are not counted."""
    limited = {volume["name"] for volume in pod["volumes"] if volume.get("emptyDir", {}).get("sizeLimit")}
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        if "/aim" in mounts and mounts.get("/tmp") not in limited:
            yield f"{container['name']} has no /tmp of a limited size"
        if "ephemeral-storage" not in container.get("resources", {}).get("limits", {}):
            yield f"{container['name']} has no limit of ephemeral storage"


def _closed(manifests: list[Manifest]) -> Iterator[tuple[Manifest, str]]:
    """Policies that leave a way open, and ways to the ports on which the kubelet asks."""
    pods = [template["spec"] for manifest in manifests if (template := pod_template(manifest))]
    names = {"health", "tracking-health"}
    health = {
        p["containerPort"] for pod in pods for c in pod["containers"] for p in c.get("ports", []) if p["name"] in names
    }
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "NetworkPolicy":
            if set(spec["policyTypes"]) != {"Ingress", "Egress"}:
                yield manifest, f"is about {spec['policyTypes']} only"
            if any(port["port"] in health for rule in spec.get("ingress", []) for port in rule["ports"]):
                yield manifest, "admits to a health port"
        if manifest["kind"] == "Service" and any(port["targetPort"] in health for port in spec["ports"]):
            yield manifest, "leads to a health port"


def _carried(manifests: list[Manifest]) -> Iterator[tuple[Manifest, str]]:
    """ConfigMaps that could change under a pod, that come after it, or that `kubectl apply` could not annotate."""
    kinds = [manifest["kind"] for manifest in manifests]
    for index, manifest in enumerate(manifests):
        if manifest["kind"] != "ConfigMap":
            continue
        if not manifest.get("immutable"):
            yield manifest, "is mutable"
        if not re.search(r"-[0-9a-f]{10}$", manifest["metadata"]["name"]):
            yield manifest, "has the same name whatever its content"
        if "Deployment" in kinds[:index]:
            yield manifest, "comes after the pod that mounts it"
        if len(_annotation(manifest)) > _MOST_ANNOTATED:
            yield manifest, "is too large for the copy that kubectl apply keeps in an annotation"


def _annotation(manifest: Manifest) -> str:
    """The copy that `kubectl apply` keeps: Go writes these three characters of a text as six each."""
    return re.sub("[<>&]", r"\\u0000", json.dumps(manifest))


def _references(manifests: list[Manifest]) -> Iterator[tuple[Manifest, str]]:
    found = {(m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]): m for m in manifests}
    for manifest in manifests:
        namespace = manifest["metadata"].get("namespace")
        for kind, where, name in _named(manifest, namespace):
            if (kind, where, name) not in found:
                yield manifest, f"refers to {kind} {name} in {where}"
        yield from ((manifest, text) for text in _selected(manifest, manifests))
        yield from ((manifest, text) for text in _bound(manifest, found))


def _named(manifest: Manifest, namespace: str | None) -> Iterator[tuple[str, str | None, str]]:
    spec = manifest.get("spec", {})
    if manifest["kind"] == "PersistentVolumeClaim" and "volumeName" in spec:
        yield "PersistentVolume", None, spec["volumeName"]
    if manifest["kind"] == "PersistentVolume":
        yield "PersistentVolumeClaim", spec["claimRef"]["namespace"], spec["claimRef"]["name"]
    template = pod_template(manifest)
    for volume in template["spec"].get("volumes", []) if template else []:
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", namespace, volume["persistentVolumeClaim"]["claimName"]
        if "configMap" in volume:
            yield "ConfigMap", namespace, volume["configMap"]["name"]


def _bound(manifest: Manifest, found: dict[tuple[str, str | None, str], Manifest]) -> Iterator[str]:
    if manifest["kind"] != "PersistentVolume":
        return
    claim = found.get(next(iter(_named(manifest, None))))
    if not claim:
        return
    spec, wanted = manifest["spec"], claim["spec"]
    if wanted["volumeName"] != manifest["metadata"]["name"]:
        yield "its claim wants another volume"
    if wanted.get("accessModes") != spec["accessModes"]:
        yield "its claim wants other access modes"
    if wanted["storageClassName"] != spec.get("storageClassName", ""):
        yield "its claim is of another class"
    if wanted.get("resources", {}).get("requests", {}).get("storage") != spec["capacity"]["storage"]:
        yield "its claim wants another size"


def _selected(manifest: Manifest, manifests: list[Manifest]) -> Iterator[str]:
    """Selectors that match no pod, and ports that no matching pod has."""
    spec = manifest.get("spec", {})
    labels = {"Service": spec.get("selector"), "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels")}
    labels["Deployment"] = spec.get("selector", {}).get("matchLabels") if manifest["kind"] == "Deployment" else None
    selector = labels.get(manifest["kind"])
    if selector is None:
        return
    pods = [template for other in manifests if (template := pod_template(other)) and _same_namespace(other, manifest)]
    matching = [pod for pod in pods if selector.items() <= pod["metadata"]["labels"].items()]
    if not matching:
        yield f"selects no pod: {selector}"
    ports = {
        port["containerPort"] for pod in matching for c in pod["spec"]["containers"] for port in c.get("ports", [])
    }
    for port in spec.get("ports", []):
        if port["targetPort"] not in ports:
            yield f"no pod listens on {port['targetPort']}"
    for rule in spec.get("ingress", []):
        yield from (f"no pod listens on {p['port']}" for p in rule["ports"] if p["port"] not in ports)


def _same_namespace(one: Manifest, other: Manifest) -> bool:
    return bool(one["metadata"].get("namespace") == other["metadata"].get("namespace"))

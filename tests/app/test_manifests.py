"""What every manifest of the project must be, whatever made it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.harness.manifest_rules import Manifest, pod_of, pod_template, problems

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "dist").glob("*.yaml"), *(ROOT / "tests/__snapshots__").rglob("*.yaml")])
OLDEST = 27
VERSIONS = [f"1.{minor}" for minor in range(OLDEST, int(kubernetes_validate.latest_version().split(".")[1]) + 1)]

CUSTOM = {"monitoring.coreos.com/v1"}
"""Kinds that are no part of Kubernetes."""

# manifests of a storage alone, and of what others add to ours, are not whole sets of our own
NOT_ALONE = {"test_existing_claim": {"refers to PersistentVolumeClaim runs.of.others in ml"}}


def load(file: Path) -> list[Manifest]:
    """The manifests in a file."""
    return list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


def ours(file: Path) -> list[Manifest]:
    """The manifests in a file that our constructs made: what users add beside them is theirs."""
    return [m for m in load(file) if "app.kubernetes.io/component" in m["metadata"].get("labels", {})]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid_strictly(version: str) -> None:
    """Each minor version since 1.27 knows every field of every manifest."""
    for file in FILES:
        for manifest in (each for each in load(file) if each["apiVersion"] not in CUSTOM):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_newest_kubernetes_is_among_the_versions() -> None:
    """The range of versions is not empty by mistake."""
    assert {"1.27", "1.36"} <= set(VERSIONS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_set_of_manifests_holds_together(file: Path) -> None:
    """Names, references, bindings, selectors and pods are what an API server and its controllers accept."""
    found = {text.partition(": ")[2] for text in problems(ours(file))}
    assert found == NOT_ALONE.get(file.stem, set())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_nothing_that_apply_reports_for_ever(file: Path) -> None:
    """No empty value that the API server drops, so that a second `kubectl apply` says "unchanged"."""
    for manifest in ours(file):
        spec = manifest.get("spec", {})
        assert "externalIPs" not in spec
        assert "minReadySeconds" not in spec
        assert manifest["kind"] != "PersistentVolume" or spec.get("storageClassName") != ""
        template = pod_template(manifest)
        if template:
            assert "hostNetwork" not in template["spec"]
            assert all(
                "readOnly" not in volume.get("persistentVolumeClaim", {}) for volume in template["spec"]["volumes"]
            )


def container(manifests: list[Manifest]) -> Manifest:
    """The server's container."""
    found: Manifest = pod_of(manifests)["containers"][0]
    return found


def of_kind(manifests: list[Manifest], kind: str) -> Manifest:
    """The first manifest of a kind."""
    return next(manifest for manifest in manifests if manifest["kind"] == kind)


BREAKS: dict[str, Callable[[list[Manifest]], object]] = {
    "runs as root": lambda ms: container(ms)["securityContext"].update(runAsUser=0),
    "does not drop ALL": lambda ms: container(ms)["securityContext"].pop("capabilities"),
    "allowPrivilegeEscalation": lambda ms: container(ms)["securityContext"].pop("allowPrivilegeEscalation"),
    "seccomp": lambda ms: pod_template(of_kind(ms, "Deployment"))["spec"]["securityContext"].pop("seccompProfile"),  # type: ignore[index]
    "is a hostPath": lambda ms: pod_template(of_kind(ms, "Deployment"))["spec"]["volumes"].append(  # type: ignore[index]
        {"name": "x", "hostPath": {"path": "/"}}
    ),
    "asks port 1": lambda ms: container(ms)["startupProbe"]["httpGet"].update(port=1),
    "Argo CD would": lambda ms: of_kind(ms, "PersistentVolume")["metadata"]["annotations"].pop(
        "argocd.argoproj.io/sync-options"
    ),
    "Flux would": lambda ms: of_kind(ms, "PersistentVolumeClaim")["metadata"]["annotations"].pop(
        "kustomize.toolkit.fluxcd.io/prune"
    ),
    "selects no pod": lambda ms: of_kind(ms, "Service")["spec"]["selector"].update(a="b"),
    "no pod listens": lambda ms: of_kind(ms, "Service")["spec"]["ports"][0].update(targetPort=1),
    "refers to PersistentVolumeClaim": lambda ms: ms.remove(of_kind(ms, "PersistentVolumeClaim")),
    "wants another size": lambda ms: of_kind(ms, "PersistentVolume")["spec"]["capacity"].update(storage="1Gi"),
    "no access mode": lambda ms: of_kind(ms, "PersistentVolumeClaim")["spec"].pop("accessModes"),
    "no request": lambda ms: of_kind(ms, "PersistentVolumeClaim")["spec"].pop("resources"),
    "would delete the runs": lambda ms: of_kind(ms, "PersistentVolume")["spec"].update(
        persistentVolumeReclaimPolicy="Delete"
    ),
    "PersistentVolume: namespace": lambda ms: of_kind(ms, "PersistentVolume")["metadata"].update(namespace="x"),
    "Service: name": lambda ms: of_kind(ms, "Service")["metadata"].update(name="1st"),
    "twice": lambda ms: ms.append(copy.deepcopy(ms[-1])),
    "hash": lambda ms: of_kind(ms, "Service")["metadata"].update(name="aim-service-c80a1b2c"),
    "no /tmp": lambda ms: container(ms)["volumeMounts"].pop(),
    "/tmp of a limited size": lambda ms: pod_of(ms)["volumes"][-1].update(emptyDir={}),
    "no limit of ephemeral": lambda ms: container(ms)["resources"]["limits"].pop("ephemeral-storage"),
    "about ['Ingress'] only": lambda ms: of_kind(ms, "NetworkPolicy")["spec"].update(policyTypes=["Ingress"]),
    "admits to a health port": lambda ms: of_kind(ms, "NetworkPolicy")["spec"]["ingress"][0]["ports"][0].update(
        port=43801
    ),
    "leads to a health port": lambda ms: of_kind(ms, "Service")["spec"]["ports"][0].update(targetPort=43801),
    "is mutable": lambda ms: of_kind(ms, "ConfigMap").pop("immutable"),
    "same name whatever": lambda ms: of_kind(ms, "ConfigMap")["metadata"].update(name="aim-supervisor"),
    "comes after the pod": lambda ms: ms.append(ms.pop(ms.index(of_kind(ms, "ConfigMap")))),
    "too large": lambda ms: of_kind(ms, "ConfigMap")["data"].update(more="<" * 2**15),
    "uninstall would delete": lambda ms: of_kind(ms, "Namespace")["metadata"]["labels"].clear(),
}


@pytest.mark.parametrize("symptom", BREAKS)
def test_each_rule_can_fail(symptom: str) -> None:
    """A manifest broken in one way is found wrong in that way: the rules above are no decoration."""
    manifests = load(ROOT / "dist/aim.k8s.yaml")
    BREAKS[symptom](manifests)
    assert any(symptom in text for text in problems(manifests))

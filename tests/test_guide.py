"""The set-up of Aim's own guide: what it makes, these constructs make, but for what is said here.

Source: docs/source/using/k8s_deployment.md of aimhubio/aim.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cdk8s
import pytest

from constructs_lib import NfsExport, Resources, ServiceOptions
from tests.harness.building import aim_server, aim_storage, rendered

GUIDE: dict[str, dict[str, Any]] = {
    "PersistentVolume": {
        "metadata.name": "aim-runs",
        "spec.capacity.storage": "1Ti",
        "spec.accessModes": ["ReadWriteMany"],
        "spec.nfs": {"path": "/aim", "server": "123.12.123.12"},
    },
    "PersistentVolumeClaim": {
        "metadata.name": "aim-runs-claim",
        "spec.accessModes": ["ReadWriteMany"],
        "spec.storageClassName": "",
        "spec.volumeName": "aim-runs",
        "spec.resources.requests.storage": "1Ti",
    },
    "Deployment": {
        "metadata.name": "my-aim-deployment",
        "spec.replicas": 1,
        "spec.template.spec.containers.0.image": "my-docker-repository.dev/deployments/aim:1",
        "spec.template.spec.containers.0.ports.0.containerPort": 43800,
        "spec.template.spec.containers.0.resources.limits.cpu": "1",
        "spec.template.spec.containers.0.resources.limits.memory": "2Gi",
        "spec.template.spec.containers.0.resources.requests.cpu": "100m",
        "spec.template.spec.containers.0.resources.requests.memory": "1Gi",
        "spec.template.spec.containers.0.volumeMounts.0.mountPath": "/aim",
        "spec.template.spec.volumes.0.persistentVolumeClaim.claimName": "aim-runs-claim",
    },
    "Service": {
        "metadata.name": "my-aim-service",
        "spec.ports.0.port": 80,
        "spec.ports.0.targetPort": 43800,
    },
}

KEPT = "kept by uninstalls, Argo CD and Flux, and why"
LABELS = "the labels that Kubernetes recommends, instead of `app`; the selector is among them"
RESTRICTED = 'Pod Security "restricted"; the guide runs as root'
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"

DIFFERENT: dict[str, dict[str, str]] = {
    "PersistentVolume": {
        "metadata.annotations": KEPT,
        "metadata.labels": LABELS,
        "spec.claimRef": "or another claim could take the volume first",
        "spec.persistentVolumeReclaimPolicy": "Retain is the default; said, so that nobody has to know it",
        "spec.volumeMode": "cdk8s-plus writes the default",
    },
    "PersistentVolumeClaim": {
        "metadata.annotations": KEPT,
        "metadata.labels": LABELS,
        "metadata.namespace": "the guide takes whatever is current",
        "spec.volumeMode": "cdk8s-plus writes the default",
    },
    "Deployment": {
        "metadata.labels": LABELS,
        "metadata.namespace": "the guide takes `default`; a namespace of its own can be guarded",
        "spec.progressDeadlineSeconds": "longer than a start may take on a slow NFS",
        "spec.selector": LABELS,
        "spec.strategy.type": "Recreate: a rolling update starts a second `aim up`, which corrupts the index",
        "spec.template.metadata.labels": LABELS,
        f"{POD}.automountServiceAccountToken": "Aim never talks to the API server",
        f"{POD}.dnsPolicy": "cdk8s-plus writes the default",
        f"{POD}.enableServiceLinks": "no variables from other Services' names",
        f"{POD}.nodeSelector": "Aim has Linux wheels for amd64 only",
        f"{POD}.restartPolicy": "cdk8s-plus writes the default",
        f"{POD}.securityContext": RESTRICTED,
        f"{POD}.setHostnameAsFQDN": "cdk8s-plus writes the default",
        f"{POD}.terminationGracePeriodSeconds": "running queries have 30 s",
        f"{POD}.volumes.0.name": "that of the claim",
        **{f"{POD}.volumes.{index}": "the supervisor" for index in (1, 2, 3)},
        f"{POD}.volumes.4": "temporary files: SQLite fails without a place for large sorts",
        f"{CONTAINER}.command": "the supervisor, which runs Aim on any image",
        f"{CONTAINER}.imagePullPolicy": "said, so that a tag `latest` changes nothing",
        f"{CONTAINER}.livenessProbe": "the guide has no probes",
        f"{CONTAINER}.name": "the guide repeats the Deployment's name",
        f"{CONTAINER}.ports.0.name": "ports have names",
        f"{CONTAINER}.ports.1": "the supervisor answers the kubelet",
        f"{CONTAINER}.readinessProbe": "the guide has no probes",
        f"{CONTAINER}.resources.limits.ephemeral-storage": "temporary files and logs are counted",
        f"{CONTAINER}.resources.requests.ephemeral-storage": "temporary files and logs are counted",
        f"{CONTAINER}.securityContext": RESTRICTED,
        f"{CONTAINER}.startupProbe": "the guide has no probes",
        f"{CONTAINER}.terminationMessagePolicy": "the reason of an end stands in `kubectl describe pod`",
        f"{CONTAINER}.volumeMounts.0.name": "that of the claim",
        **{f"{CONTAINER}.volumeMounts.{index}": "the supervisor" for index in (1, 2, 3)},
        f"{CONTAINER}.volumeMounts.4": "temporary files",
        f"{CONTAINER}.workingDir": "the supervisor",
    },
    "Service": {
        "metadata.labels": LABELS,
        "metadata.namespace": "the guide takes whatever is current",
        "spec.ports.0.name": "ports have names",
        "spec.selector": LABELS,
        "spec.type": "ClusterIP is the default; said, so that nobody has to know it",
    },
}

ADDED = {
    "ConfigMap": "carries a folder of the supervisor",
    "NetworkPolicy": "Aim has no login",
}


@pytest.fixture
def guide(chart: cdk8s.Chart) -> cdk8s.Chart:
    """The guide's set-up, under its own names."""
    storage = aim_storage(
        chart,
        "storage",
        source=NfsExport(server="123.12.123.12", path="/aim"),
        size="1Ti",
        claim_name="aim-runs-claim",
        volume_name="aim-runs",
    )
    aim_server(
        chart,
        "server",
        storage=storage,
        image="my-docker-repository.dev/deployments/aim:1",
        resources=Resources(
            requests={"cpu": "100m", "memory": "1Gi"},
            limits={"cpu": "1", "memory": "2Gi"},
        ),
        deployment_name="my-aim-deployment",
        service=ServiceOptions(name="my-aim-service", port=80),
    )
    return chart


def at(manifest: Any, path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    for part in path.split("."):
        manifest = manifest[int(part)] if isinstance(manifest, list) else (manifest or {}).get(part)
    return manifest


@pytest.mark.parametrize("kind", GUIDE)
def test_every_fact_of_the_guide_holds(guide: cdk8s.Chart, kind: str) -> None:
    """Names, sizes, ports and paths are the guide's."""
    manifest = rendered(guide, kind)
    assert {path: at(manifest, path) for path in GUIDE[kind]} == GUIDE[kind]


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The dotted path of everything that a manifest says."""
    if isinstance(value, (dict, list)) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, f"{path}.{key}".removeprefix("."))
    else:
        yield path


@pytest.mark.parametrize("kind", GUIDE)
def test_every_difference_from_the_guide_has_its_reason(guide: cdk8s.Chart, kind: str) -> None:
    """What is not the guide's is listed above with a reason, and nothing is listed that is not there."""
    listed = [*GUIDE[kind], *DIFFERENT[kind], "apiVersion", "kind"]
    said = list(leaves(rendered(guide, kind)))
    assert [path for path in said if not any(f"{path}.".startswith(f"{known}.") for known in listed)] == []
    assert [known for known in listed if not any(f"{path}.".startswith(f"{known}.") for path in said)] == []


def test_every_object_beside_the_guides_has_its_reason(guide: cdk8s.Chart) -> None:
    """Of two kinds that the guide has not."""
    kinds = {manifest["kind"] for manifest in cdk8s.Testing.synth(guide)}
    assert kinds == GUIDE.keys() | ADDED.keys()


def test_the_service_selects_the_deployments_pods(guide: cdk8s.Chart) -> None:
    """As in the guide, whose label is another."""
    pod = rendered(guide, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert rendered(guide, "Service")["spec"]["selector"].items() <= pod.items()

"""The set-up of Aim's own guide: what it makes, these constructs make, but for what is said here.

Source: docs/source/using/k8s_deployment.md of aimhubio/aim.
"""

from __future__ import annotations

from typing import Any

import cdk8s
import pytest

from constructs_lib import AimServer, AimStorage, NfsExport, Resources, ServiceOptions
from tests.building import rendered

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
        "spec.template.spec.containers.0.resources": {
            "limits": {"cpu": "1", "memory": "2Gi"},
            "requests": {"cpu": "100m", "memory": "1Gi"},
        },
        "spec.template.spec.containers.0.volumeMounts.0.mountPath": "/aim",
        "spec.template.spec.volumes.0.persistentVolumeClaim.claimName": "aim-runs-claim",
    },
    "Service": {
        "metadata.name": "my-aim-service",
        "spec.ports.0.port": 80,
        "spec.ports.0.targetPort": 43800,
    },
}

DIFFERENT: dict[str, dict[str, tuple[Any, str]]] = {
    "Deployment": {
        "metadata.namespace": ("ml", "the guide takes `default`; a namespace of its own can be guarded"),
        "metadata.labels.app": (None, "the labels that Kubernetes recommends, the selector among them"),
        "spec.strategy.type": ("Recreate", "a rolling update starts a second `aim up`, which corrupts the index"),
        "spec.template.spec.containers.0.name": ("aim", "the guide repeats the Deployment's name"),
        "spec.template.spec.containers.0.readinessProbe.httpGet.port": (43800, "the guide has no probes"),
        "spec.template.spec.securityContext.runAsUser": (10001, "the guide runs as root"),
    },
    "PersistentVolume": {
        "spec.persistentVolumeReclaimPolicy": ("Retain", "said, so that nobody has to know the default"),
        "spec.claimRef.name": ("aim-runs-claim", "or another claim could take the volume first"),
    },
}


@pytest.fixture
def guide(chart: cdk8s.Chart) -> cdk8s.Chart:
    """The guide's set-up, under its own names."""
    storage = AimStorage(
        chart,
        "storage",
        source=NfsExport(server="123.12.123.12", path="/aim"),
        size="1Ti",
        claim_name="aim-runs-claim",
        volume_name="aim-runs",
    )
    AimServer(
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


@pytest.mark.parametrize("kind", DIFFERENT)
def test_every_difference_from_the_guide_is_deliberate(guide: cdk8s.Chart, kind: str) -> None:
    """What differs from the guide, or comes on top of it, has a reason."""
    manifest = rendered(guide, kind)
    assert {path: at(manifest, path) for path in DIFFERENT[kind]} == {p: v for p, (v, _) in DIFFERENT[kind].items()}


def test_the_service_selects_the_deployments_pods(guide: cdk8s.Chart) -> None:
    """As in the guide, whose label is another."""
    pod = rendered(guide, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert rendered(guide, "Service")["spec"]["selector"].items() <= pod.items()

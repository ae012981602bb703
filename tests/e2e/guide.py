"""The set-up of Aim's own guide, to compare with and to come from.

Source: docs/source/using/k8s_deployment.md of aimhubio/aim. `containers` is made a list, or no API server takes it.
"""

from __future__ import annotations

from tests.e2e import kube
from tests.e2e.kube import Manifest

COMMAND = 'echo "N" | aim init --repo /aim && aim up --host 0.0.0.0 --port 43800 --workers 2 --repo /aim'
APP = {"app": "my-aim-deployment"}


def guide(namespace: str, source: Manifest) -> list[Manifest]:
    """Its manifests on a source of storage.

    Different are the volume's name, which is the whole cluster's; the image, so that its user, root, has to be said;
    and the command, with two workers.
    """
    return [_volume(namespace, source), _claim(namespace), _deployment(namespace), _service(namespace)]


def _volume(namespace: str, source: Manifest) -> Manifest:
    spec = {"accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Ti"}, "storageClassName": "", **source}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{namespace}-aim-runs"}, "spec": spec}


def _claim(namespace: str) -> Manifest:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Ti"}}, "storageClassName": ""}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "aim-runs-claim", "namespace": namespace},
        "spec": spec | {"volumeName": f"{namespace}-aim-runs"},
    }


def _deployment(namespace: str) -> Manifest:
    container = {
        "name": "aim",
        "image": kube.IMAGE,
        "command": ["/bin/sh", "-c", COMMAND],
        "ports": [{"containerPort": 43800, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}},
        "volumeMounts": [{"mountPath": "/aim", "name": "aim-runs"}],
        "securityContext": {"runAsUser": 0},
    }
    volume = {"name": "aim-runs", "persistentVolumeClaim": {"claimName": "aim-runs-claim"}}
    pod = {"containers": [container], "volumes": [volume]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "my-aim-deployment", "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": APP},
            "template": {"metadata": {"labels": APP}, "spec": pod},
        },
    }


def _service(namespace: str) -> Manifest:
    spec = {"selector": APP, "ports": [{"port": 80, "targetPort": 43800}]}
    metadata = {"name": "my-aim-service", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}

"""Argo CD on the cluster of KUBECONFIG: its application controller and repository server, built from its Go module.

They run as processes of this machine, with Debian's redis, and take what they apply from a Git repository in a folder.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.e2e import controllers, kube

HERE = Path(__file__).parent
MODULE = "github.com/argoproj/argo-cd/v3"
BASE: list[kube.Manifest] = [
    {"kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": {}},
    {"kind": "ConfigMap", "metadata": {"name": "argocd-rbac-cm"}},
    {"kind": "ConfigMap", "metadata": {"name": "argocd-cmd-params-cm"}},
    {"kind": "Secret", "metadata": {"name": "argocd-secret"}, "stringData": {"server.secretkey": "bm90IG9uZQ=="}},
]
PROJECT: kube.Manifest = {
    "sourceRepos": ["*"],
    "destinations": [{"namespace": "*", "server": "*"}],
    # what the documentation says that a project of one's own needs
    "clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}, {"group": "", "kind": "PersistentVolume"}],
}


def definitions() -> list[Path]:
    """The files of Argo CD's custom resource definitions."""
    return controllers.files(HERE, MODULE, "manifests/crds/*-crd.yaml")


@contextlib.contextmanager
def running(namespace: str, folder: Path) -> Iterator[None]:
    """Run it in a namespace; at the end, it is gone, and so are its definitions."""
    binary = controllers.built(HERE, f"{MODULE}/cmd")
    with contextlib.ExitStack() as stack:
        stack.enter_context(controllers.defined(definitions()))
        kube.kubectl("create", "namespace", namespace)
        labels = {"app.kubernetes.io/part-of": "argocd"}
        made = [each | {"metadata": each["metadata"] | {"namespace": namespace, "labels": labels}} for each in BASE]
        project = {"name": "default", "namespace": namespace}
        kube.apply(
            *({"apiVersion": "v1", **each} for each in made),
            {"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": project, "spec": PROJECT},
        )
        # the cluster that it is in is that of KUBECONFIG
        environment = {"ARGOCD_GPG_ENABLED": "false", "ARGOCD_FAKE_IN_CLUSTER": "true"}
        redis, repository, *metrics = controllers.free_ports(4)
        store = ["redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", ""]
        stack.enter_context(controllers.process("redis", store, folder, port=redis))
        for (name, arguments), port in zip(_components(namespace, redis, repository).items(), metrics, strict=True):
            command, own = [binary, *arguments, "--metrics-port", port], {"ARGOCD_BINARY_NAME": name}
            stack.enter_context(controllers.process(name, command, folder, port=port, **environment, **own))
        yield


def _components(namespace: str, redis: int, repository: int) -> dict[str, list[object]]:
    cache, local = ["--redis", f"127.0.0.1:{redis}"], ["--address", "127.0.0.1", "--metrics-address", "127.0.0.1"]
    fresh: list[object] = ["--disable-tls", "--port", repository, "--revision-cache-expiration", "5s"]
    server = ["--repo-server", f"127.0.0.1:{repository}", "--repo-server-plaintext", "--app-resync", "5"]
    where = ["--kubeconfig", os.environ["KUBECONFIG"], "--namespace", namespace]
    return {
        "argocd-repo-server": [*cache, *local, *fresh],
        "argocd-application-controller": [*cache, *server, *where],
    }


def status(namespace: str) -> dict[str, tuple[Any, Any]]:
    """Sync and health of every Application."""
    applications = kube.found("applications.argoproj.io", "-n", namespace)["items"]
    return {
        each["metadata"]["name"]: (
            each.get("status", {}).get("sync", {}).get("status"),
            each.get("status", {}).get("health", {}).get("status"),
        )
        for each in applications
    }

"""Argo CD on the cluster of KUBECONFIG: its application controller and repository server, built from its Go module.

They run as processes of this machine, with Debian's redis, and take what they apply from a Git repository in a folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.e2e import kube
from tests.sandbox import skip

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


def binary() -> Path:
    """Argo CD's one binary, built once: ten minutes on two cores."""
    missing = [name for name in ("git", "go", "redis-server") if not shutil.which(name)]
    if missing:
        skip(f"no {', '.join(missing)} on PATH: Argo CD is built from its module, and keeps its cache in redis")
    state = hashlib.sha256((HERE / "go.mod").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "aim-on-kubernetes")
    built = cache / f"argocd-{state}"
    if not built.exists():
        building = cache / f"argocd-{os.getpid()}"
        build: list[str | Path] = ["go", "build", "-trimpath", "-o", building, f"{MODULE}/cmd"]
        subprocess.run(build, cwd=HERE, check=True, env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"})
        building.rename(built)
    return built


def definitions() -> list[Path]:
    """The files of Argo CD's custom resource definitions."""
    show = ["go", "list", "-m", "-f", "{{.Dir}}", MODULE]
    folder = subprocess.run(show, cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()
    return sorted(Path(folder, "manifests/crds").glob("*-crd.yaml"))


@contextlib.contextmanager
def running(namespace: str, folder: Path) -> Iterator[None]:
    """Run it in a namespace; at the end, it is gone, and so are its definitions."""
    command, ports = binary(), [_free_port() for _ in range(4)]
    for file in definitions():
        kube.kubectl("apply", "--server-side", "-f", file)
    try:
        kube.kubectl("create", "namespace", namespace)
        labels = {"app.kubernetes.io/part-of": "argocd"}
        made = [each | {"metadata": each["metadata"] | {"namespace": namespace, "labels": labels}} for each in BASE]
        project = {"name": "default", "namespace": namespace}
        kube.apply(
            *({"apiVersion": "v1", **each} for each in made),
            {"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": project, "spec": PROJECT},
        )
        with contextlib.ExitStack() as stack:
            for name, arguments in _processes(namespace, ports).items():
                stack.enter_context(_process(command, name, arguments, folder))
            yield
    finally:
        # nobody is there any more to obey them, and nothing else would let go of the definitions
        for name in status(namespace):
            patch = '{"metadata": {"finalizers": null}}'
            kube.kubectl("patch", "application", name, "-n", namespace, "--type=merge", "-p", patch)
        kube.kubectl("delete", "crd", *(f"{file.stem.removesuffix('-crd')}s.argoproj.io" for file in definitions()))


def _processes(namespace: str, ports: list[int]) -> dict[str, list[str]]:
    redis, repository, *metrics = map(str, ports)
    cache, fresh = ["--redis", f"127.0.0.1:{redis}"], ["--revision-cache-expiration", "5s"]
    local = ["--address", "127.0.0.1", "--metrics-address", "127.0.0.1"]
    server = ["--repo-server", f"127.0.0.1:{repository}", "--repo-server-plaintext"]
    where = ["--kubeconfig", os.environ["KUBECONFIG"], "--namespace", namespace]
    return {
        "redis-server": ["--port", redis, "--bind", "127.0.0.1", "--save", ""],
        "argocd-repo-server": [
            *cache,
            *local,
            "--disable-tls",
            "--port",
            repository,
            "--metrics-port",
            metrics[0],
            *fresh,
        ],
        "argocd-application-controller": [*cache, *server, *where, "--metrics-port", metrics[1], "--app-resync", "5"],
    }


@contextlib.contextmanager
def _process(command: Path, name: str, arguments: list[str], folder: Path) -> Iterator[None]:
    environment = {**os.environ, "HOME": str(folder), "ARGOCD_BINARY_NAME": name, "ARGOCD_GPG_ENABLED": "false"}
    environment["ARGOCD_FAKE_IN_CLUSTER"] = "true"  # the cluster that it is in is that of KUBECONFIG
    home = folder / ".kube/config"
    home.parent.mkdir(exist_ok=True)
    shutil.copy(os.environ["KUBECONFIG"], home)
    executable = shutil.which(name) if name == "redis-server" else command
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([str(executable), *arguments], env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            time.sleep(2)
            yield
        finally:
            process.terminate()
            process.wait(30)


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


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

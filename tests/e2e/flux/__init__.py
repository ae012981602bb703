"""Flux on the cluster of KUBECONFIG: its source and kustomize controllers, built from their Go modules.

They run as processes of this machine, and take what they apply from a Git server of dulwich.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.e2e import controllers, kube

HERE = Path(__file__).parent
SOURCE, KUSTOMIZE = "github.com/fluxcd/source-controller", "github.com/fluxcd/kustomize-controller"


def definitions() -> list[Path]:
    """The files of the controllers' custom resource definitions."""
    return [file for module in (SOURCE, KUSTOMIZE) for file in controllers.files(HERE, module, "config/crd/bases/*")]


@contextlib.contextmanager
def running(namespace: str, repository: Path, folder: Path) -> Iterator[str]:
    """Run it in a namespace, with a Git server of a repository; yields that one's URL. At the end, all is gone."""
    git, artifacts, *ports = controllers.free_ports(6)
    store = ["--storage-path", folder, *(f"--storage-{way}addr=127.0.0.1:{artifacts}" for way in ("", "adv-"))]
    binaries = {controllers.built(HERE, SOURCE): store, controllers.built(HERE, KUSTOMIZE): []}
    with contextlib.ExitStack() as stack:
        stack.enter_context(controllers.defined(definitions()))
        kube.kubectl("create", "namespace", namespace)
        serve = [sys.executable, "-m", "tests.e2e.flux.git_server", git, repository]
        stack.enter_context(controllers.process("git", serve, folder, port=git, PYTHONPATH=str(kube.ROOT)))
        for binary, options in binaries.items():
            health, metrics = ports.pop(), ports.pop()
            addresses = ["--health-addr", f"127.0.0.1:{health}", "--metrics-addr", f"127.0.0.1:{metrics}"]
            command = [binary, "--watch-all-namespaces=false", *addresses, *options]
            kubeconfig = str(folder / ".kube/config")
            environment = {"RUNTIME_NAMESPACE": namespace, "KUBECONFIG": kubeconfig}
            stack.enter_context(controllers.process(binary.name, command, folder, port=health, **environment))
        yield f"http://127.0.0.1:{git}/"

"""Controllers that Debian has no package of: built from their Go modules, and run as processes of this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.e2e import kube
from tests.harness.sandbox import skip


def built(module: Path, package: str) -> Path:
    """The binary of a package, built once: ten minutes on two cores.

    Args:
        module: folder with the go.mod that pins it.
        package: its import path.
    """
    _need("git", "go", "redis-server")
    state = hashlib.sha256((module / "go.mod").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "aim-on-kubernetes")
    binary = cache / f"{package.replace('/', '-')}-{state}"
    if not binary.exists():
        building = cache / f"building-{os.getpid()}"
        build: list[str | Path] = ["go", "build", "-trimpath", "-o", building, package]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        subprocess.run(build, cwd=module, check=True, env=environment)
        building.rename(binary)
    return binary


def files(module: Path, dependency: str, pattern: str) -> list[Path]:
    """Files of a dependency of a module, such as its custom resource definitions; downloaded, but not built."""
    _need("go")
    download = ["go", "mod", "download", "-json", dependency]
    done = subprocess.run(download, cwd=module, check=True, capture_output=True, text=True)
    return sorted(Path(json.loads(done.stdout)["Dir"]).glob(pattern))


def _need(*commands: str) -> None:
    missing = [name for name in commands if not shutil.which(name)]
    if missing:
        skip(f"no {', '.join(missing)} on PATH: controllers are built from their modules, and take what is in Git")


@contextlib.contextmanager
def defined(definitions: Sequence[Path]) -> Iterator[None]:
    """Custom resources of these definitions; at the end, when their controllers have ended, they are gone."""
    options = [option for file in definitions for option in ("-f", str(file))]
    try:
        kube.kubectl("apply", "--server-side", *options)
        # kubectl fails where there is no condition yet
        kube.wait_for(lambda: kube.kubectl("wait", "--for=condition=Established", *options), seconds=60)
        yield
    finally:
        # nobody is there any more to obey them, and nothing else would let go of the definitions
        for resource in kube.found(*options)["items"]:
            _let_go(resource["metadata"]["name"])
        kube.kubectl("delete", *options)


def _let_go(resource: str) -> None:
    """Remove the finalizers of what this session has made of a kind."""
    for each in kube.found(resource, "--all-namespaces")["items"]:
        name, namespace = each["metadata"]["name"], each["metadata"].get("namespace", "default")
        if namespace.startswith(kube.PREFIX):
            patch = '{"metadata": {"finalizers": null}}'
            kube.kubectl("patch", resource, name, "-n", namespace, "--type=merge", "-p", patch)


@contextlib.contextmanager
def process(name: str, command: Sequence[object], folder: Path, *, port: int, **environment: str) -> Iterator[None]:
    """Run a controller, and wait until it listens on a port; what it says is in `<name>.log` of the folder."""
    kubeconfig = folder / ".kube/config"
    kubeconfig.parent.mkdir(exist_ok=True)
    shutil.copy(os.environ["KUBECONFIG"], kubeconfig)
    all_of_it = {**os.environ, "HOME": str(folder), **environment}
    with (folder / f"{name}.log").open("wb") as log:
        started = subprocess.Popen([*map(str, command)], env=all_of_it, stdout=log, stderr=log, cwd=folder)
        try:
            kube.wait_for(lambda: _listens(port, started), seconds=60, what=f"{name}, see {log.name}")
            yield
        finally:
            started.terminate()
            started.wait(30)


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    with socket.socket() as client:
        assert process.poll() is None, f"it ended with {process.returncode}"
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody has."""
    with contextlib.ExitStack() as stack:
        chosen = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in chosen]

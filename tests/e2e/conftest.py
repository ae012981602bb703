"""A cluster, folders on its volumes, and a table of what was measured."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import kube, logins
from tests.e2e.kube import Manifest
from tests.harness.sandbox import skip

MEASURED: list[tuple[str, str]] = []


@pytest.fixture(scope="session", autouse=True)
def cluster() -> Iterator[None]:
    """The cluster of KUBECONFIG, and no other; what this session made in it is removed."""
    hint = "`make cluster` starts one, and prints how to use it"
    if not os.environ.get("KUBECONFIG"):
        pytest.exit(f"make e2e: KUBECONFIG is not set: name the cluster to test on; {hint}", 1)
    try:
        kube.kubectl("version", "--request-timeout=10s", seconds=30)
    except FileNotFoundError:
        pytest.exit(f"make e2e: no kubectl on PATH; {hint}", 1)
    except (kube.FailedError, subprocess.SubprocessError) as error:
        pytest.exit(f"make e2e: the cluster of {os.environ['KUBECONFIG']} does not answer; {hint}\n{error}", 1)
    yield
    kube.gone()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    if MEASURED:
        terminalreporter.section("measured")
    for what, value in MEASURED:
        terminalreporter.write_line(f"{what:78} {value}")


def measured(what: str, seconds: float) -> float:
    """Note a measurement for the table, and pass it on."""
    MEASURED.append((what, f"{seconds:6.1f} s"))
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """Folders on what servers are given as storage, made and looked into as root."""

    namespace: str
    node: str
    nfs: str | None

    def run(self, script: str) -> str:
        """Run a shell script where /host is the node's disk and /nfs the NFS export."""
        return kube.kubectl("exec", "-n", self.namespace, "janitor", "--", "sh", "-ec", script)

    def signal(self, pod: Manifest, word: str, name: str = "KILL") -> None:
        """Send a signal to processes of a pod on the node, those with a word among the arguments of their command."""
        uid = pod["metadata"]["uid"].replace("-", "[-_]")  # in the name of the control group
        found = f"$(grep -l '{uid}' /proc/[0-9]*/cgroup | cut -d/ -f3)"
        self.run(f"for id in {found}; do grep -qzxF {word} /proc/$id/cmdline && kill -{name} $id || true; done")

    def host_path(self, name: str, *, owner: int = kube.UID) -> Manifest:
        """Storage of an instance on a new folder of the node."""
        self.run(f"mkdir /host/{name}; chown {owner}:{owner} /host/{name}")
        return {"size": "1Gi", "hostPath": {"path": f"{HOST}/{name}", "node": self.node}}

    @contextlib.contextmanager
    def small_disk(self, name: str, megabytes: int) -> Iterator[Manifest]:
        """Storage of an instance on a disk of its own, which can be filled."""
        storage = self.host_path(name)
        options = f"size={megabytes}m,uid={kube.UID},gid={kube.UID},mode=755"
        self.run(f"mount -t tmpfs -o {options} tmpfs /host/{name}")
        try:
            yield storage
        finally:
            self.run(f"umount --lazy /host/{name}")

    def nfs_export(self, name: str, *, owner: int = kube.UID) -> Manifest:
        """Storage of an instance on a new folder of the NFS export."""
        if not self.nfs:
            skip("no NFS server: set NFS=server:/path to an export without root squash")
        server, _, path = self.nfs.partition(":")
        self.run(f"mkdir /nfs/{name}; chown {owner}:{owner} /nfs/{name}")
        return {"size": "1Gi", "nfs": {"server": server, "path": f"{path}/{name}"}}


HOST = "/var/tmp/aim-e2e"


@pytest.fixture(scope="session")
def volumes() -> Iterator[Volumes]:
    """Folders for storage."""
    mounts: Manifest = {"/host": {"hostPath": {"path": HOST, "type": "DirectoryOrCreate"}}}
    nfs = os.environ.get("NFS")
    if nfs:
        server, _, path = nfs.partition(":")
        mounts["/nfs"] = {"nfs": {"server": server, "path": path}}
    with kube.namespaces() as (namespace,):
        kube.kubectl("create", "namespace", namespace)
        janitor = kube.pod("janitor", namespace, ["sleep", "infinity"], user=0, volumes=mounts)
        janitor["spec"]["hostPID"] = True
        janitor["spec"]["containers"][0]["securityContext"] = {"privileged": True}  # it mounts disks, for pods to see
        janitor["spec"]["containers"][0]["volumeMounts"][0]["mountPropagation"] = "Bidirectional"
        kube.apply(janitor)
        kube.await_pod("janitor", namespace)
        name = kube.found("pod", "janitor", "-n", namespace)["spec"]["nodeName"]
        node = kube.found("node", name)["metadata"]["labels"]["kubernetes.io/hostname"]
        made = Volumes(namespace=namespace, node=node, nfs=nfs)
        yield made
        kube.gone(but=namespace)
        made.run(f"rm -rf /host/{kube.PREFIX}* /nfs/{kube.PREFIX}*")


@pytest.fixture(scope="session")
def login_image() -> str:
    """An image of the login, loaded."""
    return logins.image()


@pytest.fixture
def namespace() -> Iterator[str]:
    """The name of a namespace of the test's own."""
    with kube.namespaces() as (name,):
        yield name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where instance files and manifests are written."""
    return tmp_path


def instance(namespace: str, storage: Manifest, **server: object) -> Manifest:
    """An instance file."""
    content = {"namespace": namespace, "createNamespace": True, "image": kube.IMAGE, "storage": storage}
    return content | ({"server": server} if server else {})

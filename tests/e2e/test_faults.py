"""What somebody sees who made a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance
from tests.e2e.kube import Manifest


def mount_failure(namespace: str) -> str:
    """What the cluster says about the server's pod (`kubectl describe pod`), once a mount has failed."""
    said = kube.kubectl("describe", "pod", "-n", namespace, "-l", "app.kubernetes.io/component=server")
    return said if "FailedMount" in said else ""


def termination(namespace: str) -> str:
    """The reason for which the server's container ended (`kubectl describe pod`, Last State)."""
    (status,) = kube.server_pod(namespace)["status"]["containerStatuses"]  # not there at first
    states = [status["state"], status.get("lastState", {})]
    return "".join(state["terminated"].get("message", "") for state in states if "terminated" in state)


def apply(folder: Path, content: Manifest) -> None:
    """Apply an instance that cannot work."""
    kube.kubectl("apply", "-f", kube.synthesized(folder, aim=content))


@pytest.mark.parametrize(("server", "path"), [("192.0.2.1", "/export"), (None, "/export/not-there")])
def test_an_export_that_is_not_there_is_named(
    namespace: str, folder: Path, volumes: Volumes, server: str | None, path: str
) -> None:
    """The pod's events name the server and the path that could not be mounted."""
    nfs = volumes.nfs_export(namespace)["nfs"]
    nfs = {"server": server or nfs["server"], "path": path}
    apply(folder, instance(namespace, {"size": "1Gi", "nfs": nfs}))
    told = kube.wait_for(lambda: mount_failure(namespace), seconds=150)
    assert f"{nfs['server']}:{path}" in told
    assert "ContainerCreating" in kube.kubectl("get", "pods", "-n", namespace)


def test_an_export_that_may_not_be_written_is_named(namespace: str, folder: Path, volumes: Volumes) -> None:
    """The reason has the path, its owner, the user of the pod, and what to do on the NFS server."""
    apply(folder, instance(namespace, volumes.nfs_export(namespace, owner=4711)))
    told = kube.wait_for(lambda: termination(namespace), seconds=60)
    for part in ("/aim", "4711", str(kube.UID), f"chown -R {kube.UID}:{kube.UID}", "storage.owner"):
        assert part in told
    kube.wait_for(lambda: "CrashLoopBackOff" in kube.kubectl("get", "pods", "-n", namespace), seconds=60)
    assert volumes.run(f"ls -A /nfs/{namespace}") == ""


def test_an_image_without_aim_is_named(namespace: str, folder: Path, volumes: Volumes) -> None:
    """The reason says what is missing; here, the image's Aim is hidden from PATH."""
    content = instance(
        namespace, volumes.host_path(namespace), env=[{"name": "PATH", "value": "/usr/local/bin:/usr/bin:/bin"}]
    )
    apply(folder, content)
    told = kube.wait_for(lambda: termination(namespace), seconds=60)
    assert "no `aim` on PATH" in told
    assert "no `aim` on PATH" in kube.kubectl("logs", "-n", namespace, "deployment/aim")


def test_a_foreign_repository_is_refused_and_left_alone(namespace: str, folder: Path, volumes: Volumes) -> None:
    """The reason names the path; no file is added, changed or removed."""
    storage = volumes.host_path(namespace)
    make = (
        f"mkdir /host/{namespace}/.aim; echo precious > /host/{namespace}/.aim/file; echo x > /host/{namespace}/other"
    )
    look = f"cd /host/{namespace}; find . -type f ! -name .aim-server.lock -exec sha256sum {{}} +"
    volumes.run(f"{make}; chown -R {kube.UID}:{kube.UID} /host/{namespace}")
    before = volumes.run(look)
    apply(folder, instance(namespace, storage))
    told = kube.wait_for(lambda: termination(namespace), seconds=60)
    assert "/aim/.aim" in told
    assert volumes.run(look) == before

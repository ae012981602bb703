"""What a new version of the project does to the servers that are there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance

CHANGE = "# a later version of the supervisor\n"


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The project with another supervisor."""
    copy = tmp_path / "later"
    for name in ("app", "constructs_lib", "imports"):
        shutil.copytree(kube.ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(kube.ROOT / "main.py", copy)
    with (copy / "constructs_lib/supervisor/__init__.py").open("a", encoding="utf-8") as file:
        file.write(CHANGE)
    return copy


def supervisor(namespace: str) -> str:
    """The text of the supervisor in the server's pod."""
    command = ("cat", "supervisor/__init__.py", "supervisor/serve.py")
    return kube.kubectl("exec", "-n", namespace, "deployment/aim", "--", *command)


def test_a_rollback_brings_back_the_former_supervisor(
    namespace: str, folder: Path, volumes: Volumes, later: Path
) -> None:
    """`kubectl rollout undo` runs the old template with the old text; nothing can change that text under a pod."""
    content = instance(namespace, volumes.host_path(namespace))
    kube.kubectl("apply", "-f", kube.synthesized(folder, aim=content))
    kube.ready(namespace)
    former = supervisor(namespace)
    assert CHANGE not in former
    kube.kubectl("apply", "-f", kube.synthesized(folder, later, aim=content))
    kube.ready(namespace)
    assert supervisor(namespace).replace(CHANGE, "") == former
    assert CHANGE in supervisor(namespace)
    kube.kubectl("rollout", "undo", "-n", namespace, "deployment/aim")
    kube.ready(namespace)
    assert supervisor(namespace) == former
    for each in kube.found("configmaps", "-n", namespace, "-l", "app.kubernetes.io/name=aim")["items"]:
        patch = '{"data": {"__init__.py": ""}}'
        with pytest.raises(kube.FailedError, match="immutable"):
            kube.kubectl("patch", "configmap", each["metadata"]["name"], "-n", namespace, "--type=merge", "-p", patch)

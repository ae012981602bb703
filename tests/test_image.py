"""The container image; building it needs a container engine, and is tested on the cluster (tests/e2e)."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run what `make image` runs."""
    environ = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run([ROOT / "image/build"], env=environ, capture_output=True, text=True, check=False)


def test_the_label_names_the_version_that_is_installed() -> None:
    """The image says which Aim is in it."""
    pinned = re.findall(r"^aim==(\S+)", (ROOT / "image/requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    dockerfile = (ROOT / "image/Dockerfile").read_text(encoding="utf-8")
    assert pinned == re.findall(r'org\.opencontainers\.image\.version="(.*)"', dockerfile)


def test_an_image_without_a_name_is_refused() -> None:
    """`make image` says what to write."""
    done = build()
    assert done.returncode != 0
    assert done.stderr == "make image: no IMAGE; write make image IMAGE=registry.example.com/aim:3.29.1\n"


def test_a_machine_without_a_container_engine_is_told_what_to_install(tmp_path: Path) -> None:
    """`make image` needs docker, podman or buildah."""
    for tool in ("bash", "dirname", "head"):
        found = subprocess.run(["/usr/bin/env", "which", tool], capture_output=True, text=True, check=True)
        (tmp_path / tool).symlink_to(found.stdout.strip())
    done = build(IMAGE="aim:1", PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (
        1,
        "make image: none of docker, podman and buildah is on PATH; install one\n",
    )

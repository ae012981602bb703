"""The container image; building it needs a container engine, and is tested on the cluster (tests/e2e)."""

from __future__ import annotations

import os
import re
import shutil
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


def test_the_licences_are_those_of_what_is_installed() -> None:
    """One row a package; each lets the image be passed on, and the one without is explained above the table."""
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "image/requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    text = (ROOT / "image/LICENSES.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+) +\| (\S+) +\| (.+?) +\|$", text, re.MULTILINE)[1:]
    assert {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version, _ in rows} == set(pins), "run image/bill"
    assert [name for name, _, licence in rows if licence == "UNKNOWN"] == ["aim-ui"]
    assert [row for row in rows if re.search(r"(?<!L)GPL|Affero|General Public", row[2])] == []


def test_an_image_without_a_name_is_refused() -> None:
    """`make image` says what to write."""
    done = build()
    assert done.returncode != 0
    assert done.stderr == "make image: no IMAGE; write make image IMAGE=registry.example.com/aim:3.29.1\n"


def test_a_machine_without_a_container_engine_is_told_what_to_install(tmp_path: Path) -> None:
    """`make image` needs docker, podman or buildah."""
    with_tools(tmp_path)
    done = build(IMAGE="aim:1", PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (
        1,
        "make image: none of docker, podman and buildah is on PATH; install one\n",
    )


def test_a_push_prints_the_digest_for_instance_files(tmp_path: Path) -> None:
    """With docker, for which a script stands in that says what docker does; the digest is the last thing it says."""
    with_tools(tmp_path)
    docker = tmp_path / "docker"
    digest = f"sha256:{'0123456789abcdef' * 4}"
    docker.write_text(f"#!/usr/bin/env bash\n[ $1 = build ] || echo '1: digest: {digest} size: 2'\n", encoding="utf-8")
    docker.chmod(0o755)
    done = build(IMAGE="docker.io/me/aim:1", PUSH="1", PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, f"image: docker.io/me/aim@{digest}\n"), done.stderr


def with_tools(folder: Path) -> None:
    """What the script needs beside a container engine."""
    for tool in ("bash", "dirname", "env", "head", "sed", "tee"):
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)

"""`make release`, on a copy of the repository."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from constructs_lib import __version__
from release import changelog

ROOT = Path(__file__).resolve().parents[2]
NEXT = __version__.partition(".dev")[0]


def git(folder: Path, *words: str) -> str:
    """Run git, with nobody's settings."""
    names = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that Git knows here, as they are, committed in a repository of their own."""
    folder = tmp_path_factory.mktemp("release") / "copy"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    text = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    (folder / "CHANGELOG.md").write_text(
        text.replace("## Unreleased\n", "## Unreleased\n\n### Added\n\n- A change.\n", 1), encoding="utf-8"
    )
    git(folder, "init")
    git(folder, "add", "--all")
    git(folder, "commit", "--message=all")
    return folder


def release(folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    """Run what `make release` runs."""
    command = [sys.executable, "-m", "release", version]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("", f"VERSION: '': write three numbers: make release VERSION={NEXT}"),
        ("1.0", "VERSION: '1.0': write three numbers"),
        ("0.0.9", f"VERSION: '0.0.9': {changelog.versions((ROOT / 'CHANGELOG.md').read_text('utf-8'))[0]} is released"),
    ],
)
def test_a_version_that_is_none_or_an_older_one_is_refused(copy: Path, version: str, said: str) -> None:
    """Nothing is changed."""
    done = release(copy, version)
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert git(copy, "status", "--porcelain") == ""


def test_a_tree_with_changes_is_refused(copy: Path) -> None:
    """A release is what is committed."""
    (copy / "new").write_text("", encoding="utf-8")
    done = release(copy, NEXT)
    (copy / "new").unlink()
    assert (done.returncode, done.stderr) == (1, "working tree: commit or stash these first:\n?? new\n")


def test_a_release_is_prepared_and_what_remains_is_said(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version, changelog, manifests for the tests of later versions, packages, bills of materials."""
    tools = copy.parent / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:{Path(sys.executable).parent}:/usr/bin:/bin")
    # the image's bill installs what it ships, half a minute; its own check is in tests/test_image.py
    (copy / "image/bill").write_text('#!/bin/sh\necho "{}" >"$SBOM"\n', encoding="utf-8")
    git(copy, "commit", "--all", "--message=stand-in")
    done = release(copy, NEXT)
    assert done.returncode == 0, done.stderr
    assert f"git tag --annotate v{NEXT}" in done.stdout
    changed = git(copy, "status", "--porcelain").splitlines()
    assert changed == [" M CHANGELOG.md", " M constructs_lib/__init__.py", f"?? tests/releases/{NEXT}/"]
    text = (copy / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(
        rf"^## Unreleased\n\n## {re.escape(NEXT)} - \d{{4}}-\d\d-\d\d\n\n### Added\n\n- A ch", text, re.MULTILINE
    )
    assert {"aim.yaml", "aim.k8s.yaml", "everything.k8s.yaml", "interface.yaml"} <= {
        file.name for file in (copy / "tests/releases" / NEXT).iterdir()
    }
    check_packages(copy / ".release")
    again = release(copy, NEXT)
    assert again.stderr.startswith(f"VERSION: '{NEXT}': {NEXT} is released")


def check_packages(folder: Path) -> None:
    """The wheel says what strangers and package indexes ask for, and its bill of materials what it requires."""
    assert {"".join(file.name.split(NEXT)) for file in folder.iterdir()} == {
        "aim_on_kubernetes--py3-none-any.whl",
        "aim_on_kubernetes-.tar.gz",
        "aim-on-kubernetes-.cdx.json",
        "image-.cdx.json",
    }
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"aim_on_kubernetes-{NEXT}.dist-info/METADATA").decode()
        assert {name.partition("/")[0] for name in archive.namelist()} == {
            "constructs_lib",
            f"aim_on_kubernetes-{NEXT}.dist-info",
        }
    for expected in (f"Version: {NEXT}\n", "License-Expression: Apache-2.0\n", "Author: the maintainers\n"):
        assert expected in metadata
    assert "Project-URL" not in metadata
    assert "Provides-Extra: node\n" in metadata
    bill = json.loads((folder / f"aim-on-kubernetes-{NEXT}.cdx.json").read_text(encoding="utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    assert {"cdk8s", "cdk8s-plus-27", "jsii"} <= {component["name"] for component in bill["components"]}

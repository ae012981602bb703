"""The program as its users run it: in a process, through make, and through the cdk8s command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
FINE = "namespace: ml\nstorage: {size: 1Ti, dynamic: {}}\n"


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these variables on top of the usual ones."""
    env = {**os.environ, **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, at any depth."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def copy_settings(folder: Path) -> None:
    """Copy the settings of Argo CD, where there are any."""
    for settings in ROOT.glob("argocd.yaml"):
        shutil.copy(settings, folder)


@pytest.mark.parametrize(
    "environment", [{"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "LC_ALL": "C", "TZ": "Asia/Tokyo"}]
)
def test_the_committed_output_is_what_the_sources_produce(tmp_path: Path, environment: dict[str, str]) -> None:
    """Any hash seed, locale, time zone and working directory give the committed bytes."""
    copy_settings(tmp_path)
    done = run(sys.executable, ROOT / "main.py", cwd=tmp_path, CDK8S_OUTDIR="out", **environment)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(DIST), "dist/ is not what the sources give: run `make synth`"


def test_a_normal_run_says_what_it_wrote_and_nothing_else(tmp_path: Path) -> None:
    """No banner, no warning, whatever Node.js is on the machine."""
    (tmp_path / "a.yaml").write_text(FINE, encoding="utf-8")
    done = run(sys.executable, ROOT / "main.py", cwd=tmp_path, INSTANCES="a.yaml", CDK8S_OUTDIR="out")
    assert (done.stdout, done.stderr) == ("out/a.k8s.yaml\n", "")


def test_bad_input_ends_with_status_1_and_one_message(tmp_path: Path) -> None:
    """No stack trace, and nothing written."""
    (tmp_path / "a.yaml").write_text(FINE + "server: {workers: 0}\n", encoding="utf-8")
    done = run(sys.executable, ROOT / "main.py", cwd=tmp_path, INSTANCES="a.yaml", CDK8S_OUTDIR="out")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line == "a.yaml: server.workers: 0: should be greater than or equal to 1"
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_the_cdk8s_command_line_gives_the_same_bytes(tmp_path: Path) -> None:
    """`cdk8s synth` is another way to run the same app."""
    cli = ROOT / "node_modules/.bin/cdk8s"
    copy_settings(tmp_path)
    done = run(cli, "synth", "--output", tmp_path / "out", CDK8S_CHECK_UPGRADE="false")
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(DIST)


def test_make_synth_writes_where_it_is_told(tmp_path: Path) -> None:
    """INSTANCES and OUT reach the app, and the committed output is not touched."""
    (tmp_path / "a.yaml").write_text(FINE, encoding="utf-8")
    before = contents(DIST)
    done = run("make", "synth", f"INSTANCES={tmp_path / 'a.yaml'}", f"OUT={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert list(contents(tmp_path / "out")) == ["a.k8s.yaml"]
    assert contents(DIST) == before


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_is_synthesized(tmp_path: Path, file: Path) -> None:
    """What the documentation tells people to try works as it is."""
    done = run(sys.executable, "main.py", INSTANCES=str(file), CDK8S_OUTDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_node_comes_with_the_environment() -> None:
    """A machine without Node.js, or with an old one, synthesizes all the same."""
    node = shutil.which("node", path=str(Path(sys.executable).parent))
    assert node
    assert run(node, "--version").stdout.startswith("v24.")

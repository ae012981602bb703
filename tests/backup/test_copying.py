"""A copy is made by the rendered pods with the real restic, while writers go on, and can be brought back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cdk8s
import pytest

from constructs_lib import AimBackup, BackupOptions, BackupVolume, ExistingClaim, KeyRef
from tests.harness.building import dynamic
from tests.harness.jobs import Ended, Job
from tests.harness.sandbox import own, skip
from tests.supervisor.processes import client, done

PASSWORD = {"backup/password": "correct horse"}
OPTIONS = BackupOptions(password=KeyRef(name="backup", key="password"))


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """The volume of the runs, with a repository of two runs, and that of the copies."""
    if not shutil.which("restic"):
        skip("no restic on PATH: tests/e2e/cluster/install brings it")
    made = {name: tmp_path / name for name in ("aim-runs", "copies")}
    for folder in made.values():
        folder.mkdir()
    done("prepare", made["aim-runs"])
    client("write", made["aim-runs"], "--runs", 2)
    own(*made.values(), *made["aim-runs"].rglob("*"))
    return made


@pytest.fixture
def manifests(chart: cdk8s.Chart) -> list[dict[str, Any]]:
    """A backup to a claim."""
    target = BackupVolume(volume=ExistingClaim(name="copies"))
    AimBackup(chart, "backup", storage=dynamic(chart), target=target, options=OPTIONS)
    return list(cdk8s.Testing.synth(chart))


Run = Callable[..., Ended]


@pytest.fixture
def run(manifests: list[dict[str, Any]], folders: dict[str, Path]) -> Run:
    """Run a CronJob's pod to its end."""

    def run_job(name: str, **secrets: str) -> Ended:
        return Job(manifests=manifests, name=name, volumes=folders, secrets={**PASSWORD, **secrets}).run()

    return run_job


def test_a_copy_is_made_and_a_drill_reads_it(run: Run) -> None:
    """The rendered pods, with restic: staged, copied, checked, noted; restored, opened by Aim, counted."""
    copied = run("aim-backup")
    assert copied.code == 0, copied.logs
    assert copied.last_line == "aim-supervisor: copied 2 runs, 0 of them in progress"
    drilled = run("aim-drill")
    assert drilled.code == 0, drilled.logs
    assert "2 of 2 runs" in drilled.last_line

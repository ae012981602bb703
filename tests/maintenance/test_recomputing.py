"""Metrics of former versions of Aim are brought to the form of this one, and no point of theirs is lost."""

from __future__ import annotations

import fcntl
import shutil

from tests.harness.sandbox import own
from tests.maintenance.conftest import Chores
from tests.supervisor.processes import done
from tests.supervisor.test_staging import read
from tests.upgrades.test_upgrades import tell, unpack


def test_metrics_of_a_former_aim_are_recomputed(chores: Chores) -> None:
    """Runs of Aim 3.17.5 lack the types of their sequences; all else of them stays as it was."""
    shutil.rmtree(chores.repository)
    expected = unpack("3.17.5", chores.runs)
    done("prepare", chores.runs)
    own(*chores.runs.rglob("*"))
    dry = chores.do("recompute")
    assert "dry run: 4 of 4 runs have metrics in a former form" in dry.last_line, dry.logs
    updated = chores.do("recompute", apply=True, run=min(expected))
    assert updated.last_line.startswith("aim-supervisor: 1 of 4 runs have metrics in a former form"), updated.logs
    assert "no server runs: the next one indexes them" in updated.logs
    assert "dry run: 3 of 4" in chores.do("recompute").last_line
    assert tell(chores.runs) == expected


def test_metrics_of_a_run_that_cannot_be_recomputed_are_said_and_those_of_others_are(chores: Chores) -> None:
    """One has a writer, which goes on; one is damaged, so that the Job fails."""
    shutil.rmtree(chores.repository)
    written, damaged, *_ = sorted(unpack("3.17.5", chores.runs))
    done("prepare", chores.runs)
    (chores.repository / "meta/chunks" / damaged / "CURRENT").write_text("MANIFEST-of-another", encoding="utf-8")
    own(*chores.runs.rglob("*"))
    with (chores.repository / "meta/chunks" / written / "LOCK").open("r+") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)  # as RocksDB does
        updated = chores.do("recompute", apply=True)
    assert updated.code == 1
    assert f"run {written} has a writer: left alone" in updated.logs
    assert f"run {damaged} cannot be updated" in updated.logs
    assert "2 of 4 runs have metrics in a former form, and are updated; 1 cannot be updated" in updated.last_line
    assert "dry run: 1 of 4" in chores.do("recompute", run=written).last_line


def test_points_that_a_recomputation_would_lose_are_left_as_they_are(chores: Chores) -> None:
    """Aim's own function pairs the columns of a metric by position, and deletes them: without times, none is left."""
    run = min(read(chores.runs))
    points = done("former", chores.runs, "--run", run)["points"]
    own(*chores.runs.rglob("*"))
    refused = chores.do("recompute", apply=True, run=run)
    assert refused.code == 1
    assert f"run {run} cannot be updated: ValueError: points of former have no time" in refused.logs, refused.logs
    assert done("former_values", chores.runs, "--run", run)["values"] == points
    assert not (chores.repository / "bcp").exists()

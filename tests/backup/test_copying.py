"""Copies are made by the rendered pods with the real restic, and each failure says why."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cdk8s
import pytest

from constructs_lib import Retention
from constructs_lib.backup.restic import TAG
from constructs_lib.supervisor.notes import LAST_BACKUP, LAST_DRILL, read_json
from constructs_lib.supervisor.staging import COPY, SUMMARY
from tests.backup.conftest import Backup, make
from tests.harness.jobs import kill
from tests.harness.restic import newest, oldest
from tests.harness.sandbox import own
from tests.supervisor.processes import client, done

pytestmark = pytest.mark.parametrize("programs", [newest, oldest], indirect=True)


def snapshots(backup: Backup, *, tag: str = "") -> int:
    """How many copies restic lists; with a tag, of that only."""
    return len(listed(backup, tag=tag))


def listed(backup: Backup, *, tag: str = "") -> list[dict[str, Any]]:
    """Copies that restic lists; with a tag, of that only."""
    command = [str(backup.programs / "restic"), "--no-cache", "--no-lock", "snapshots", "--json"]
    command += ["--tag", tag] if tag else []
    environment = {
        "RESTIC_REPOSITORY": str(backup.copies / "aim"),
        "RESTIC_PASSWORD": backup.secrets["backup/password"],
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    copies: list[dict[str, Any]] = json.loads(done.stdout)
    return copies


def test_a_copy_is_made_and_a_drill_reads_it(seeded: Backup) -> None:
    """Staged, copied, checked, noted and removed from the volume; restored, opened by Aim, counted."""
    copied = seeded.copy()
    assert copied.code == 0, copied.logs
    assert copied.last_line == "aim-supervisor: copied 3 runs, 0 of them in progress"
    assert "no errors were found" in copied.logs
    assert not (seeded.runs / COPY).exists()
    noted = json.loads((seeded.runs / LAST_BACKUP).read_text("utf-8"))
    assert (noted["runs"], noted["finished"] - noted["made"] > 0) == (3, True)
    drilled = seeded.job("aim-drill").run()
    assert drilled.code == 0, drilled.logs
    assert drilled.last_line.startswith("aim-supervisor: 3 of 3 runs of the newest copy are read by Aim")
    assert json.loads((seeded.runs / LAST_DRILL).read_text("utf-8"))["succeeded"]


def test_a_second_copy_sends_what_is_new(seeded: Backup) -> None:
    """Tables of runs that have not changed are not read again, though their links are new files."""
    seeded.copy()
    first = read_json(seeded.runs / LAST_BACKUP)["finished"]
    client("write", seeded.runs, "--runs", 1)
    own(*(seeded.runs / ".aim").rglob("*"))
    again = seeded.copy()
    assert again.code == 0, again.logs
    assert read_json(seeded.runs / LAST_BACKUP)["first"] == pytest.approx(first, abs=1)
    (files,) = [line.split() for line in again.logs.splitlines() if line.startswith("Files:")]
    new, changed, unmodified = int(files[1]), int(files[3]), int(files[5])
    assert unmodified > 20
    assert new + changed < unmodified
    assert snapshots(seeded) == 2


def test_each_copy_reads_another_part_of_the_data_back(seeded: Backup) -> None:
    """So that all of it is read in as many copies as it takes, and a damage of the target is found."""
    chart = cdk8s.Chart(cdk8s.App(), "halves", namespace="ml")
    halves = dataclasses.replace(seeded, chart=chart, construct=make(chart, percent=50))
    parts = [re.findall(r"read group #(.) of .* in 2 groups", halves.copy().logs) for _ in range(3)]
    assert parts == [["1"], ["2"], ["1"]]
    packs = sorted((halves.copies / "aim/data").glob("*/*"), key=lambda path: path.stat().st_size)
    packs[-1].write_bytes(bytes(packs[-1].stat().st_size))
    assert 1 in {halves.copy().code for _ in range(2)}


def test_a_drill_finds_a_run_that_cannot_be_read(seeded: Backup) -> None:
    """The copy is as damaged as the repository was: the drill fails, and says of which run."""
    (table,) = list((seeded.runs / ".aim/meta/chunks").glob("*/*.sst"))[:1]
    table.write_bytes(bytes(table.stat().st_size))
    assert seeded.copy().code == 0
    drilled = seeded.job("aim-drill").run()
    assert drilled.code == 1
    assert f"run {table.parent.name} cannot be read" in drilled.logs
    assert "2 of 3 runs of the newest copy are read by Aim" in drilled.last_line
    assert not json.loads((seeded.runs / LAST_DRILL).read_text("utf-8"))["succeeded"]


def empty(database: Path) -> None:
    """Overwrite a database."""
    database.write_bytes(bytes(database.stat().st_size))


def unlist(volume: Path, run: str = "%") -> None:
    """Remove the row of a run, or of all."""
    with contextlib.closing(sqlite3.connect(volume / ".aim/run_metadata.sqlite")) as rows:
        rows.execute("DELETE FROM run WHERE hash LIKE ?", [run])
        rows.commit()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda copy: empty(copy / ".aim/run_metadata.sqlite"), "0 of 3 runs of the newest copy are read by Aim"),
        (lambda copy: empty(copy / ".aim/aim_db"), "0 of 3 runs of the newest copy are read by Aim"),
        (unlist, "3 of 3 runs of the newest copy are read by Aim, 0 are listed"),
    ],
)
def test_a_drill_of_a_copy_with_a_damaged_database_is_noted_as_failed(
    seeded: Backup, damage: Callable[[Path], None], said: str
) -> None:
    """The alert fires by the note, and not a week later by its age."""
    job = seeded.job()
    assert job.run_one("stage").code == 0
    damage(seeded.runs / COPY)
    assert job.run_one("restic").code == 0
    drilled = seeded.job("aim-drill").run()
    assert (drilled.code, said in drilled.last_line) == (1, True), drilled.logs
    assert not read_json(seeded.runs / LAST_DRILL)["succeeded"]


def test_what_a_trainer_leaves_that_is_killed_as_it_begins_fails_no_drill(seeded: Backup) -> None:
    """There is nothing in the folder that anybody could bring back, and nothing in the UI by which to delete it."""
    (seeded.runs / ".aim/meta/chunks" / ("f" * 24)).mkdir()
    own(*seeded.runs.rglob("*"))
    assert seeded.copy().code == 0
    drilled = seeded.job("aim-drill").run()
    assert (drilled.code, "4 of 4 runs of the newest copy" in drilled.last_line) == (0, True), drilled.logs


def test_a_copy_of_the_future_fails_the_drill(seeded: Backup) -> None:
    """It is the newest until then, whatever becomes of those that are made meanwhile."""
    job = seeded.job()
    assert job.run_one("stage").code == 0
    summary = seeded.runs / COPY / SUMMARY
    summary.write_text(json.dumps({**read_json(summary), "made": time.time() + 86400}), encoding="utf-8")
    assert job.run_one("restic").code == 0
    drilled = seeded.job("aim-drill").run()
    assert (drilled.code, "by a node whose clock was wrong" in drilled.last_line) == (1, True), drilled.logs


def test_a_run_without_parameters_fails_no_drill(seeded: Backup) -> None:
    """Aim records none by itself."""
    done("track_only", seeded.runs)
    own(*seeded.runs.rglob("*"))
    assert seeded.copy().code == 0
    drilled = seeded.job("aim-drill").run()
    assert drilled.code == 0, drilled.logs


def test_a_run_that_was_killed_as_it_began_fails_no_drill(seeded: Backup) -> None:
    """There is nothing of it to be read, and an alarm that never ends hides a loss."""
    done("begin", seeded.runs, "--run", "f" * 24)
    own(*seeded.runs.rglob("*"))
    assert seeded.copy().code == 0
    drilled = seeded.job("aim-drill").run()
    assert drilled.code == 0, drilled.logs
    assert drilled.last_line.startswith("aim-supervisor: 4 of 4 runs of the newest copy are read by Aim")


def test_a_drill_reads_the_points_of_archived_runs(seeded: Backup) -> None:
    """Aim lists no metrics of them."""
    (table,) = list((seeded.runs / ".aim/seqs/chunks").glob("*/*.sst"))[:1]
    table.write_bytes(bytes(table.stat().st_size))
    with contextlib.closing(sqlite3.connect(seeded.runs / ".aim/run_metadata.sqlite")) as database:
        database.execute("UPDATE run SET is_archived = 1 WHERE hash = ?", [table.parent.name])
        database.commit()
    assert seeded.copy().code == 0
    drilled = seeded.job("aim-drill").run()
    assert (drilled.code, f"run {table.parent.name} cannot be read" in drilled.logs) == (1, True)


@pytest.fixture
def copied(seeded: Backup, tmp_path: Path) -> Iterator[Backup]:
    """A backup with a copy; at the end, that copy is restored, whatever has become of the next one."""
    assert seeded.copy().code == 0
    (tmp_path / "empty").mkdir()
    done("prepare", tmp_path / "empty")
    own(*(tmp_path / "empty").rglob("*"), tmp_path / "empty")
    seeded.others["empty"] = tmp_path / "empty"
    yield seeded
    restored = seeded.restore(into="fresh")
    assert restored.code == 0, restored.logs
    assert "restored 3 runs" in restored.last_line


def test_a_wrong_password_is_said_and_changes_nothing(copied: Backup) -> None:
    """The last line is restic's own; the repository is not made anew."""
    failed = dataclasses.replace(copied, secrets={"backup/password": "wrong"}).copy()
    assert (failed.container, failed.code) == ("restic", 1)
    assert "wrong password or no key found" in failed.last_line
    assert "wrong password or no key found" in failed.logs.partition("trying to make one")[0]
    assert snapshots(copied) == 1


def test_a_target_that_cannot_be_written_to_is_said(copied: Backup) -> None:
    """As one that belongs to another user: the Job fails, and the copy before stays whole."""
    repository = copied.copies / "aim"
    mode = repository.stat().st_mode
    repository.chmod(0)
    failed = copied.copy()
    repository.chmod(mode)
    assert (failed.container, failed.code) == ("restic", 1)
    assert "permission denied" in failed.last_line


def test_an_empty_repository_pushes_no_copy_of_runs_out(copied: Backup) -> None:
    """The namespace was lost, and the new server is backed up at night, before anybody restores."""
    fresh = dataclasses.replace(copied, runs=copied.others["empty"])
    for _ in range(2):
        failed = fresh.copy()
        assert (failed.container, failed.code) == ("restic", 1)
        assert "there are no runs, and the target has copies of runs" in failed.last_line
    assert snapshots(copied) == 1


def test_a_password_may_end_with_a_newline(copied: Backup) -> None:
    """As one of a file that an editor has saved; restic itself reads such a file without it."""
    again = dataclasses.replace(copied, secrets={"backup/password": "correct horse\n"}).copy()
    assert again.code == 0, again.logs
    assert snapshots(copied) == 2


def test_no_repository_is_said(backup: Backup) -> None:
    """Copies of nothing would push the good ones out."""
    failed = backup.copy()
    assert (failed.container, failed.code) == ("stage", 1)
    assert "is no Aim repository" in failed.last_line


def interrupt(backup: Backup, host: str, line: str) -> None:
    """Kill a copy as soon as restic says something."""
    job = dataclasses.replace(backup.job(), host=host)
    job.run_one("stage")
    with job.started("restic") as process:
        assert process.stdout
        while line not in process.stdout.readline():
            assert process.poll() is None
        kill(process)


def test_a_killed_copy_does_not_stop_the_next_one(copied: Backup) -> None:
    """Killed in the middle, its pod is gone, and its lock is left: copies are made all the same, and none is lost."""
    interrupt(copied, "job-1", "using parent snapshot")
    assert snapshots(copied) == 1
    interrupt(copied, "job-2", "waiting for another restic to end, or for the lock of a killed one")
    assert snapshots(copied) == 2


def test_copies_that_lack_a_file_push_no_whole_ones_out(seeded: Backup) -> None:
    """Restic keeps what it could read, and says so by its exit code: these are neither the newest nor kept."""
    chart, keep = cdk8s.Chart(cdk8s.App(), "two", namespace="ml"), Retention(last=2, daily=0, weekly=0, monthly=0)
    two = dataclasses.replace(seeded, chart=chart, construct=make(chart, keep=keep))
    assert two.copy().code == 0
    for number in range(3):
        assert copy_without(two, f"unreadable-{number}") == 3
    assert (snapshots(two, tag=TAG), snapshots(two, tag=f"{TAG}-incomplete")) == (1, 3)
    assert "restored 3 runs" in two.restore(into="fresh").last_line
    assert two.copy().code == 0
    assert (snapshots(two, tag=TAG), snapshots(two, tag=f"{TAG}-incomplete")) == (2, 2)


def copy_without(backup: Backup, name: str) -> int:
    """Make a copy while a file of it cannot be read; the exit code of restic's container."""
    assert backup.job().run_one("stage").code == 0
    unreadable = backup.runs / COPY / ".aim" / name
    unreadable.touch(0o000)
    return backup.job().run_one("restic").code


def test_a_copy_that_is_not_there_is_answered_by_a_list_of_those_that_are(seeded: Backup) -> None:
    """Incomplete ones included, with their ids and tags; the last line says which one was asked for."""
    seeded.copy()
    assert copy_without(seeded, "unreadable") == 3
    failed = seeded.restore(into="fresh", snapshot="0123abcd")
    assert (failed.container, "0123abcd" in failed.last_line) == ("restic", True)
    for found in listed(seeded):
        assert re.search(f"^{found['short_id']} .* {found['tags'][0]}", failed.logs, re.MULTILINE)

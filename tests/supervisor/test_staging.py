"""A copy of a living repository is whole: everything that was acknowledged before it began is in it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from constructs_lib.supervisor import Refusal
from constructs_lib.supervisor.chores.task import Task
from constructs_lib.supervisor.staging import COPY, FILES, SUMMARY, Summary, listed_runs, missing_files_of, stage_copy
from constructs_lib.supervisor.writers import written_runs
from tests.harness.aim_environment import PYTHON
from tests.harness.sandbox import CLIENT, Pod, running, training, wait_for
from tests.supervisor.processes import client, done, make_runs

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("STAGING_ROUNDS", "4"))
"""Half of them with links, half without; twenty take some minutes."""


@pytest.fixture
def writers(volume: Path) -> Iterator[Pod]:
    """A server and two writers at full speed; what they were acknowledged is in files of the volume."""
    manifests = list(yaml.safe_load_all((ROOT / "dist/aim.k8s.yaml").read_text(encoding="utf-8")))
    with running(manifests, volume) as server, training(manifests, volume) as trainer:
        server.await_ready()
        for name in ("one", "two"):
            trainer.client("acknowledge", "--name", name, "--points", 300)
        wait_for(lambda: len(acknowledged(volume)) >= 6, seconds=120, still=trainer)
        yield trainer
        assert not [each for each in trainer.commands if each.poll() is not None], trainer.logs


def acknowledged(volume: Path) -> dict[str, int]:
    """The last step of each run that its writer was acknowledged."""
    steps: dict[str, int] = {}
    for file in volume.glob("*.acknowledged"):
        text = file.read_text(encoding="utf-8")
        steps.update(json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines())
    return steps


def read(volume: Path) -> dict[str, dict[str, Any]]:
    """What the real Aim reads of each run."""
    command = [str(PYTHON), str(CLIENT), "read", str(volume)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    lines = [json.loads(line) for line in output.splitlines()]
    return {line.pop("hash"): line for line in lines}


def assert_whole(copy: Path, steps: dict[str, int]) -> None:
    """Every run is in a copy, and every point and parameter that was acknowledged before."""
    found = read(copy)
    assert json.loads((copy / SUMMARY).read_text("utf-8"))["runs"] == len(found)
    assert_acknowledged(found, steps)


def assert_acknowledged(found: dict[str, dict[str, Any]], steps: dict[str, int]) -> None:
    """Every point and parameter is among what was read of a copy that was acknowledged before."""
    assert found.keys() >= steps.keys()
    for run, step in steps.items():
        assert found[run]["points"] > step, run
        assert found[run]["step"] >= step // 20 * 20, run


def refused(*_: Path) -> None:
    """Make no hard link, as SMB, some NFS servers and FAT do not."""
    raise OSError(errno.EOPNOTSUPP, "no links")


@pytest.mark.usefixtures("writers")
def test_a_copy_has_everything_that_was_acknowledged_before_it_began(volume: Path, tmp_path: Path) -> None:
    """Two writers and the server go on; the real Aim reads every point and parameter of each copy."""
    for number in range(ROUNDS):
        steps, link = acknowledged(volume), refused if number % 2 else os.link
        summary = stage_copy(volume, link=link)
        assert summary.linked == (link is os.link)
        assert summary.in_progress >= 1
        shutil.move(volume / COPY, tmp_path / "copy")
        # to read it takes long, and the writers would make thousands of runs meanwhile
        (volume / "pause").touch()
        assert_whole(tmp_path / "copy", steps)
        (volume / "pause").unlink()
        shutil.rmtree(tmp_path / "copy")


def prepared(volume: Path, *, folders: int) -> None:
    """A repository with runs."""
    done("prepare", volume)
    make_runs(volume, rows=folders, folders=folders)


def stage(volume: Path) -> subprocess.Popen[str]:
    """Start the role as the init container of a backup does."""
    command = [sys.executable, "-m", "supervisor", "stage", "--repository", str(volume)]
    return subprocess.Popen(command, cwd=ROOT / "constructs_lib", stdout=subprocess.PIPE, text=True)


def test_a_killed_copy_is_no_copy_and_the_next_one_takes_its_place(tmp_path: Path) -> None:
    """The summary of a copy is written last, and what is half-made is removed at the next start."""
    prepared(tmp_path, folders=3)
    with contextlib.closing(sqlite3.connect(tmp_path / ".aim/aim_db")) as busy, stage(tmp_path) as process:
        busy.execute("BEGIN EXCLUSIVE")
        while not (tmp_path / COPY / ".aim/run_metadata.sqlite").exists():
            assert process.poll() is None
        process.kill()
    assert not (tmp_path / COPY / SUMMARY).exists()
    (tmp_path / COPY / "left-behind").touch()
    with stage(tmp_path) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "staged 3 runs, 0 of them in progress" in output
    assert {path.name for path in (tmp_path / COPY).iterdir()} == {".aim", FILES, SUMMARY}


def test_tables_are_linked_and_the_index_and_locks_are_left_out(tmp_path: Path) -> None:
    """A copy costs next to no space; what is derived, or belongs to living processes, is no part of it."""
    prepared(tmp_path, folders=0)
    client("write", tmp_path, "--runs", 2)
    summary, copy = stage_copy(tmp_path), tmp_path / COPY / ".aim"
    files = len([path for path in copy.rglob("*") if path.is_file()])
    assert summary == Summary(made=pytest.approx(0, abs=1e12), runs=2, files=files)  # type: ignore[arg-type]
    tables = [*copy.rglob("*.sst")]
    assert tables
    assert all(path.samefile(tmp_path / ".aim" / path.relative_to(copy)) for path in tables)
    assert {path.name for path in copy.iterdir()} == {"VERSION", "aim_db", "meta", "run_metadata.sqlite", "seqs"}
    assert {path.name for path in (copy / "meta").iterdir()} == {"chunks", "progress"}
    assert not [*copy.rglob("LOCK")]


def test_a_run_that_a_killed_trainer_has_half_made_does_not_stop_the_copy(tmp_path: Path) -> None:
    """A folder without a manifest is copied as it is, and counted."""
    prepared(tmp_path, folders=2)
    (current,) = list((tmp_path / ".aim/meta/chunks").glob("*1/CURRENT"))
    current.unlink()
    summary = stage_copy(tmp_path)
    assert (summary.runs, summary.incomplete) == (2, 1)


def test_what_is_among_the_runs_by_hand_ends_no_copy(tmp_path: Path) -> None:
    """A file manager leaves files there, and people folders with blanks in their names."""
    prepared(tmp_path, folders=2)
    (tmp_path / ".aim/meta/chunks/.DS_Store").touch()
    assert stage_copy(tmp_path).runs == 2
    (tmp_path / ".aim/meta/chunks/by hand").mkdir()
    stage_copy(tmp_path)
    run = min(path.name for path in (tmp_path / ".aim/meta/chunks").iterdir() if path.name.isalnum())
    assert missing_files_of(tmp_path / COPY, run) == 0
    shutil.rmtree(tmp_path / ".aim/meta/chunks/by hand")
    assert len(Task(tmp_path, apply=False, older_than=0, runs=()).chosen) == 2
    assert not written_runs(tmp_path / ".aim")


def test_a_volume_without_a_repository_is_refused(tmp_path: Path) -> None:
    """A backup of nothing would push the good copies out."""
    with pytest.raises(Refusal, match="is no Aim repository"):
        stage_copy(tmp_path)
    assert not (tmp_path / COPY).exists()


@pytest.mark.parametrize("text", [None, b"", b"no database"])
def test_a_database_that_cannot_list_the_runs_is_named_and_left_as_it_is(tmp_path: Path, text: bytes | None) -> None:
    """SQLite would make one where there is none, and the report of a chore changes nothing."""
    database = tmp_path / ".aim/run_metadata.sqlite"
    database.parent.mkdir()
    if text is not None:
        database.write_bytes(text)
    with pytest.raises(Refusal, match=r"\.aim/run_metadata\.sqlite cannot be read"):
        listed_runs(tmp_path / ".aim")
    assert (database.read_bytes() if database.exists() else None) == text


def test_a_repository_without_its_database_is_not_copied(tmp_path: Path) -> None:
    """The copy would list no run, and take the place of one that does."""
    (tmp_path / ".aim/meta/chunks").mkdir(parents=True)
    (tmp_path / ".aim/VERSION").touch()
    with pytest.raises(Refusal, match=r"it has no run_metadata\.sqlite"):
        stage_copy(tmp_path)
    assert not (tmp_path / COPY).exists()


def test_a_copy_that_finds_no_room_leaves_none_of_it_taken(tmp_path: Path) -> None:
    """Half of a copy would keep the volume full until the next one, and trainers from recording."""
    prepared(tmp_path, folders=0)
    client("write", tmp_path, "--runs", 1)

    def full(*_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        stage_copy(tmp_path, link=full)
    assert not (tmp_path / COPY).exists()


def test_a_run_that_the_database_has_lost_is_copied_too(tmp_path: Path) -> None:
    """As where an older database was put in its place; a trainer may be writing to it still."""
    prepared(tmp_path, folders=3)
    lost, begun, _ = sorted(path.name for path in (tmp_path / ".aim/meta/chunks").iterdir())
    (tmp_path / ".aim/meta/progress" / begun).touch()
    with contextlib.closing(sqlite3.connect(tmp_path / ".aim/run_metadata.sqlite")) as database:
        database.execute("DELETE FROM run WHERE hash IN (?, ?)", [lost, begun])
        database.commit()
    summary = stage_copy(tmp_path)
    assert (summary.runs, summary.in_progress, summary.unlisted) == (3, 1, 2)
    for run in (lost, begun):
        assert (tmp_path / COPY / ".aim/meta/chunks" / run / "CURRENT").exists()

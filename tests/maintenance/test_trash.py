"""What was deleted comes back, whatever has become meanwhile of what it belongs to."""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.supervisor import Refusal, trash
from constructs_lib.supervisor.chores.leftovers import leftovers, remove
from constructs_lib.supervisor.chores.task import Task
from constructs_lib.supervisor.chores.trashing import undelete
from constructs_lib.supervisor.rows import bring_back
from constructs_lib.supervisor.trash import TRASH
from tests.backup.test_restoring import describe, details
from tests.harness.sandbox import disk, fill
from tests.supervisor.test_staging import read


@pytest.fixture
def runs(tmp_path: Path, store: Path) -> Path:
    """A copy of the repository with three runs, which no server has."""
    return shutil.copytree(store, tmp_path / "runs")


def asked(volume: Path, *questions: str) -> list[Any]:
    """Ask the database of runs; the answer to the last question."""
    with contextlib.closing(sqlite3.connect(volume / ".aim/run_metadata.sqlite")) as database:
        answers = [database.execute(question).fetchall() for question in questions]
        database.commit()
        return answers[-1]


def delete(volume: Path, run: str) -> None:
    """Delete a run as the server does."""
    trash.put(volume, run)
    asked(volume, f"DELETE FROM run WHERE hash = '{run}'")


def names(volume: Path, run: str) -> set[tuple[str, str]]:
    """Names of the experiment and of the tags of a run."""
    return {(row[3], row[5]) for row in details(volume, run)["rows"]}


def test_a_run_comes_back_after_its_tag_and_its_experiment_were_renamed(runs: Path) -> None:
    """They are the same ones under other names: the database refuses them a second time."""
    run = min(read(runs))
    describe(runs, run)
    delete(runs, run)
    asked(runs, "UPDATE tag SET name = 'better'", "UPDATE experiment SET name = 'renamed' WHERE name = 'test'")
    trash.take_back(runs, run)
    assert names(runs, run) == {("renamed", "better")}


def test_two_tags_that_are_one_by_now_are_one_tag_of_the_run(runs: Path) -> None:
    """One was renamed to the name of the other, which is gone."""
    run = min(read(runs))
    describe(runs, run)
    asked(runs, "INSERT INTO tag (id, uuid, name) VALUES (8, 'v', 'best')")
    asked(runs, f"INSERT INTO run_tag (run_id, tag_id) SELECT id, 8 FROM run WHERE hash = '{run}'")
    delete(runs, run)
    asked(runs, "DELETE FROM tag WHERE id = 8", "UPDATE tag SET name = 'best'")
    trash.take_back(runs, run)
    assert names(runs, run) == {("test", "best")}


def test_a_run_comes_back_though_sequences_alone_were_pruned_later(runs: Path) -> None:
    """The newest entry of its hash has neither parameters nor rows."""
    run = min(read(runs))
    before = details(runs, run)
    delete(runs, run)
    pruned(runs, run).mkdir()
    trash.take_back(runs, run)
    assert details(runs, run) == before


def test_a_run_whose_deletion_broke_off_and_was_repeated_comes_back_whole(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parameters and its sequences are two entries of the trash."""
    run, rename = min(read(runs)), Path.rename
    before = details(runs, run)

    def break_off(store: Path, to: Path) -> Path:
        if to.name == "seqs":
            raise OSError(errno.EIO, "Input/output error")
        return rename(store, to)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "rename", break_off)
        with pytest.raises(OSError, match="Input/output error"):
            trash.put(runs, run)
    delete(runs, run)
    parameters, _ = trash.entries(runs)
    # as one that was killed has left it: it has the time of when it was begun to be brought back
    parameters.path.rename(parameters.path.with_name(f"{time.time() + 1:.6f}-{run}"))
    trash.take_back(runs, run)
    assert details(runs, run) == before
    assert not trash.entries(runs)


def pruned(volume: Path, run: str) -> Path:
    """Where the chore prune moves sequences without parameters to."""
    entry = volume / TRASH / f"{time.time() + 1:.3f}-{run}"
    entry.mkdir(parents=True)
    return entry / "seqs"


def test_sequences_that_were_pruned_come_back(runs: Path) -> None:
    """Nothing in the database was theirs."""
    run = min(read(runs))
    (runs / ".aim/seqs/chunks" / run).rename(pruned(runs, run))
    before = asked(runs, "SELECT * FROM run")
    trash.take_back(runs, run)
    assert read(runs)[run]["points"] == 20
    assert asked(runs, "SELECT * FROM run") == before


def test_a_run_that_is_brought_back_is_not_emptied_meanwhile(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trash is emptied of what was listed before, just when its rows are back, and its stores are not."""
    run = min(read(runs))
    before = details(runs, run)
    delete(runs, run)
    listed = trash.entries(runs)

    def emptied(*arguments: Any) -> None:
        bring_back(*arguments)
        assert trash.empty(listed, apply=True) == 0

    monkeypatch.setattr(trash, "bring_back", emptied)
    trash.take_back(runs, run)
    assert details(runs, run) == before
    assert trash.empty(listed, apply=True) == 0


def test_what_is_left_of_a_killed_removal_is_removed_with_the_next_one(runs: Path) -> None:
    """It is no entry any more: half of a run is not brought back."""
    for run in sorted(read(runs))[:2]:
        delete(runs, run)
    entry, other = trash.entries(runs)
    entry.path.rename(entry.path.with_name(f"removed.{entry.path.name}"))
    assert trash.entries(runs) == [other]
    assert trash.empty([other], apply=True) == 1
    assert not list((runs / TRASH).iterdir())


def test_a_run_that_comes_back_while_leftovers_are_removed_keeps_its_sequences(runs: Path) -> None:
    """They were listed before its parameters were there; their folder is as old as the run."""
    run = min(read(runs))
    parameters = runs / ".aim/meta/chunks" / run
    parameters.rename(runs / "meanwhile")
    task = Task(runs, apply=True, older_than=-1, runs=())
    (found,) = [path for path in leftovers(task) if path.parent.name == "chunks"]
    (runs / "meanwhile").rename(parameters)
    remove(task, found)
    assert read(runs)[run]["points"] == 20
    assert not leftovers(task)


def test_a_run_that_is_in_the_repository_again_is_not_overwritten(runs: Path) -> None:
    """A restore of a backup has brought it back; sequences of both would be one run. A dry run says so, too."""
    run = min(read(runs))
    sequences, kept = runs / ".aim/seqs/chunks" / run, runs / "kept"
    shutil.copytree(runs / ".aim/meta/chunks" / run, kept)
    delete(runs, run)
    kept.rename(runs / ".aim/meta/chunks" / run)
    with pytest.raises(Refusal, match="nothing is overwritten"):
        trash.take_back(runs, run)
    with pytest.raises(Refusal, match="nothing is overwritten"):
        undelete(Task(runs, apply=False, older_than=0, runs=(run,)))
    assert not sequences.exists()
    assert [each.run for each in trash.entries(runs)] == [run]


def test_a_run_stays_where_it_is_if_the_trash_is_another_disk(runs: Path) -> None:
    """A store is renamed, which goes within one only; the trash lists no deletion that was none."""
    run = min(read(runs))
    before = details(runs, run)
    (runs / TRASH).mkdir()
    with disk(runs / TRASH, "1m"):
        with pytest.raises(Refusal, match="is on another file system"):
            trash.put(runs, run)
        with pytest.raises(Refusal, match="is on another file system"):
            trash.put_sequences(runs, runs / ".aim/seqs/chunks" / run)
        assert trash.entries(runs) == []
    assert details(runs, run) == before


@pytest.fixture
def full(tmp_path: Path, store: Path) -> Iterator[Path]:
    """A copy of the repository on a disk that has no room."""
    (tmp_path / "disk").mkdir()
    with disk(tmp_path / "disk", "16m"):
        yield shutil.copytree(store, tmp_path / "disk/runs")


def test_a_run_stays_where_it_is_if_the_disk_is_full(full: Path) -> None:
    """Its rows cannot be copied, so that nothing of it is moved, and the trash has no half of it."""
    run = min(read(full))
    before = details(full, run)
    fill(full / "filler")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        trash.put(full, run)
    assert trash.entries(full) == []
    (full / "filler").unlink()
    assert details(full, run) == before


def test_a_run_stays_in_the_trash_if_the_disk_is_full(full: Path) -> None:
    """Its row cannot be written; it comes back, whole, when there is room."""
    run = min(read(full))
    before = details(full, run)
    delete(full, run)
    fill(full / "filler")
    with pytest.raises(Refusal, match="full"):
        trash.take_back(full, run)
    (full / "filler").unlink()
    assert [each.run for each in trash.entries(full)] == [run]
    trash.take_back(full, run)
    assert details(full, run) == before


def test_leftovers_of_every_kind_are_found_and_nothing_of_anybody_else_s(runs: Path) -> None:
    """Nor what is young: a trainer that begins a run makes its parameters last. Aim's lock for creating runs stays."""
    repository, gone, run = runs / ".aim", "f" * 24, min(read(runs))
    for kind, name in (("seqs", gone), ("seqs", "by-hand.1"), ("meta", "by-hand.1")):
        (repository / kind / "chunks" / name).mkdir()
    files = ["meta/progress/{}", "check_ins/{}-0001-starting-0-0", "locks/{}.softlock"]
    others = [*(each.format(run) for each in files), "locks/structured_db_lock"]
    for file in (*(each.format(gone) for each in files), *others):
        (repository / file).touch()
    found = leftovers(Task(runs, apply=False, older_than=-1, runs=()))
    assert {str(path.relative_to(repository)) for path in found} == {
        each.format(gone) for each in (*files, "seqs/chunks/{}")
    }
    assert not leftovers(Task(runs, apply=False, older_than=3600, runs=()))

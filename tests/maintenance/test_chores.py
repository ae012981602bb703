"""Chores do what they say with the real Aim, and change nothing before they are told to."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.supervisor.chores.task import Task
from constructs_lib.supervisor.trash import TRASH
from tests.backup.test_copying import unlist
from tests.backup.test_restoring import delete, describe, details
from tests.harness.sandbox import Pod, assert_all_there, own, running, wait_for
from tests.maintenance import test_trash
from tests.maintenance.conftest import SERVER, Chores
from tests.supervisor.processes import client, done, indexed, role
from tests.supervisor.test_staging import read


def held_run(volume: Path) -> str:
    """The hash of a run whose writer was killed before it could end it."""
    with role("hold", volume) as writer:
        run = str(writer.await_told("run"))
        # Aim writes the creation time in a thread
        writer.write("1")
        writer.wait_for(lambda: writer.told.get("number") == 1)
    own(*volume.rglob("*"))
    return run


def forget_progress(volume: Path, run: str) -> None:
    """Remove the mark by which the server finds a run that is lost."""
    (volume / ".aim/meta/progress" / run).unlink()


def test_a_run_without_a_writer_is_closed(chores: Chores) -> None:
    """One whose mark of progress is lost is active for ever otherwise; its stale lock goes, so that it can resume."""
    run = held_run(chores.runs)
    forget_progress(chores.runs, run)
    (lock,) = (chores.repository / "locks").glob("*.softlock")
    young = chores.do("close", apply=True)
    assert young.last_line.startswith("aim-supervisor: 0 runs without a writer are closed, 0 stale"), young.logs
    dry = chores.do("close", older_than=0)
    assert dry.code == 0, dry.logs
    assert f"run {run}: would close it" in dry.logs
    assert dry.last_line.endswith("to do it, set APPLY=yes")
    assert not read(chores.runs)[run]["ended"]
    assert lock.exists()
    closed = chores.do("close", apply=True, older_than=0)
    assert closed.last_line == "aim-supervisor: 1 runs without a writer are closed, 1 stale locks of runs are removed"
    assert read(chores.runs)[run]["ended"]
    assert not lock.exists()


def end_time(volume: Path, run: str) -> float:
    """When a run has ended, in seconds since the epoch."""
    return float(done("end_time", volume, "--run", run)["end_time"])


def test_a_run_is_said_to_have_ended_when_it_was_written_last(chores: Chores) -> None:
    """Its duration would grow by all the time that nobody has looked; and that of one which says its end stays."""
    ended, run = min(read(chores.runs)), held_run(chores.runs)
    said, changed = end_time(chores.runs, ended), written_last(chores.runs, run)
    assert chores.do("close", apply=True, older_than=0).code == 0
    assert end_time(chores.runs, run) == changed
    test_trash.delete(chores.runs, ended)
    own(*chores.runs.rglob("*"))
    assert chores.do("undelete", apply=True, run=ended).code == 0
    assert end_time(chores.runs, ended) == said


def written_last(volume: Path, run: str) -> float:
    """When a run was written last."""
    return Task(volume, apply=False, older_than=0, runs=()).changed(run)


def test_only_the_run_that_is_named_is_closed(chores: Chores) -> None:
    """Another one without a writer keeps its lock, and goes on."""
    run, other = held_run(chores.runs), held_run(chores.runs)
    closed = chores.do("close", apply=True, older_than=0, run=run)
    assert "1 runs without a writer are closed, 1 stale locks" in closed.last_line, closed.logs
    found = read(chores.runs)
    assert (found[run]["ended"], found[other]["ended"]) == (True, False)
    assert [lock.stem for lock in (chores.repository / "locks").glob("*.softlock")] == [other]


def test_a_run_with_a_writer_is_left_alone(chores: Chores) -> None:
    """However long it has written nothing: RocksDB's lock tells that its process lives, on whichever node."""
    with role("hold", chores.runs) as writer:
        run = writer.await_told("run")
        own(*chores.runs.rglob("*"))
        closed = chores.do("close", apply=True, older_than=0)
        assert f"run {run} has a writer" in closed.logs, closed.logs
        assert "0 runs without a writer are closed, 0 stale locks" in closed.last_line
        assert (chores.repository / f"locks/{run}.softlock").exists()


def test_a_run_that_cannot_be_closed_stays_in_progress(chores: Chores) -> None:
    """Without its mark, or with an end, neither the server nor the next chore would look at it again."""
    run = held_run(chores.runs)
    sequences = chores.repository / "seqs/chunks" / run
    sequences.mkdir(exist_ok=True)
    (sequences / "CURRENT").write_text("MANIFEST-999999\n", encoding="utf-8")
    own(*chores.runs.rglob("*"))
    failed = chores.do("close", apply=True, older_than=0)
    assert f"cannot close run {run}" in failed.logs, failed.logs
    assert "0 runs without a writer are closed" in failed.last_line
    assert (chores.repository / "meta/progress" / run).exists()
    shutil.rmtree(sequences)
    assert not read(chores.runs)[run]["ended"]
    assert "1 runs without a writer are closed" in chores.do("close", apply=True, older_than=0).last_line
    assert not (chores.repository / "meta/progress" / run).exists()


@pytest.mark.parametrize("kind", ["meta", "seqs"])
def test_a_damaged_run_fails_the_report(chores: Chores, kind: str) -> None:
    """The Job fails and names the run; runs of which all bytes can be read do not."""
    whole = chores.do("report")
    assert whole.code == 0, whole.logs
    assert whole.last_line.startswith("aim-supervisor: 0 of 3 runs are damaged; 0 without a writer, 0 stale locks")
    (table,) = list((chores.repository / f"{kind}/chunks").glob("*/*.sst"))[:1]
    table.write_bytes(bytes(table.stat().st_size))
    damaged = chores.do("report")
    assert damaged.code == 1
    assert f"run {table.parent.name} is damaged" in damaged.logs
    assert damaged.last_line.startswith("aim-supervisor: 1 of 3 runs are damaged")
    assert "make restore RUN=" in damaged.last_line


def test_the_report_names_whatever_is_to_be_done(chores: Chores) -> None:
    """A run without a writer and its lock, one in no database, one in the trash, and what is left of one."""
    deleted, unlisted, _ = sorted(read(chores.runs))
    lost = held_run(chores.runs)
    test_trash.delete(chores.runs, deleted)
    unlist(chores.runs, unlisted)
    for check_in in (chores.repository / "check_ins").glob(f"{deleted}-*"):
        check_in.unlink()
    (chores.repository / "seqs/chunks" / ("f" * 24)).mkdir()
    own(*chores.runs.rglob("*"))
    report = chores.do("report", older_than=0)
    found = "1 without a writer, 1 stale locks, 1 leftovers, 1 in the trash, 1 in no database"
    assert report.last_line == f"aim-supervisor: 0 of 3 runs are damaged; {found}", report.logs
    for line in (f"run {lost} has no end", f"run {lost} has a stale lock", f"run {unlisted} is in no database"):
        assert line in report.logs
    assert "0 of 1 runs are damaged; 0 without a writer, 0 stale" in chores.do("report", run=unlisted).last_line


def test_half_written_points_of_a_run_that_has_ended_are_said_and_removed(chores: Chores) -> None:
    """A server of Aim has closed it as it was, or its trainer has come back; only the run that is named is mended."""
    run = min(read(chores.runs))
    before = done("values", chores.runs, "--run", run)["values"]
    assert done("tear", chores.runs, "--run", run)["torn"]
    own(*chores.runs.rglob("*"))
    assert f"run {run} has half-written points" in chores.do("report").logs
    assert "half-written" not in chores.do("close", apply=True).logs
    assert f"run {run}: would remove 1 half-written points" in chores.do("close", run=run).logs
    assert done("values", chores.runs, "--run", run) != {"values": before[1:]}
    assert f"run {run}: removes 1 half-written points" in chores.do("close", apply=True, run=run).logs
    assert done("values", chores.runs, "--run", run) == {"values": before[1:]}
    assert "half-written" not in chores.do("report").logs


def test_a_run_without_its_sequences_fails_the_report(chores: Chores) -> None:
    """All that is there can be read; its parameters name metrics whose points are gone."""
    (folder,) = list((chores.repository / "seqs/chunks").iterdir())[:1]
    shutil.rmtree(folder)
    damaged = chores.do("report")
    assert damaged.code == 1
    assert f"run {folder.name} is damaged: its sequences are gone" in damaged.logs


def test_a_run_that_comes_back_without_its_sequences_fails_the_report_as_before(chores: Chores) -> None:
    """Nothing makes them anew, with nothing in them: the report would tell no more that points are lost."""
    run = min(read(chores.runs))
    shutil.rmtree(chores.repository / "seqs/chunks" / run)
    test_trash.delete(chores.runs, run)
    own(*chores.runs.rglob("*"))
    assert chores.do("undelete", apply=True, run=run).code == 0
    assert f"run {run} is damaged: its sequences are gone" in chores.do("report").logs


def delete_as_aim_does(volume: Path, run: str) -> None:
    """Delete a run without the trash, and leave what Aim leaves."""
    assert done("delete", volume, "--run", run)["deleted"]
    own(*volume.rglob("*"))


def test_leftovers_of_deleted_runs_are_pruned(chores: Chores) -> None:
    """From the index while the server goes on, and files; sequences without parameters go to the trash."""
    living = set(read(chores.runs))
    odd = client("write", chores.runs, "--name", "odd")
    (run,) = odd
    done("name", chores.runs, "--run", run)
    (chores.repository / "seqs/chunks" / ("f" * 24)).mkdir()
    (chores.repository / "check_ins" / f"{'f' * 24}-0001-starting-0-0").touch()
    own(*chores.runs.rglob("*"))
    with running(SERVER, chores.runs) as server:
        server.await_ready()
        wait_for(lambda: "only-here" in parameters(server), seconds=60, still=server)
        delete_as_aim_does(chores.runs, run)
        assert "only-here" in parameters(server)
        dry = chores.do("prune", older_than=0)
        assert dry.code == 0, dry.logs
        assert "would remove" in dry.logs
        assert len(leftover(chores.repository)) == 2
        assert "only-here" in parameters(server)
        pruned = chores.do("prune", apply=True, older_than=0)
        assert pruned.code == 0, pruned.logs
        assert "a server runs on host" in pruned.logs
        assert int(pruned.last_line.split()[1]) > 0, pruned.logs
        assert "only-here" not in parameters(server)
        assert "number" in parameters(server)
        assert set(indexed(chores.runs)) == living
        assert {path.name for path in (chores.repository / "seqs/chunks").iterdir()} == living
    assert not leftover(chores.repository)
    assert list((chores.runs / TRASH).glob(f"*-{'f' * 24}/seqs"))


def leftover(repository: Path) -> list[Path]:
    """Files and folders of the run that never was."""
    return [*repository.glob(f"*/{'f' * 24}*"), *repository.glob(f"seqs/chunks/{'f' * 24}")]


def parameters(server: Pod) -> Any:
    """The parameters that the UI completes."""
    return json.loads(server.get("/api/projects/params?sequence=metric", timeout=30) or "{}").get("params", {})


def test_the_index_is_built_anew_while_the_server_goes_on(chores: Chores) -> None:
    """The server does it, as its only writer, and says when it is done."""
    with running(SERVER, chores.runs, host="aim-7") as server:
        server.await_ready()
        wait_for(lambda: len(indexed(chores.runs)) == 3, seconds=60, still=server)
        mark = chores.repository / "meta/index/mark-of-the-test"  # a number of a folder is given to the next one
        mark.touch()
        dry = chores.do("reindex")
        assert dry.last_line.startswith("aim-supervisor: dry run: the index of 3 runs is built anew"), dry.logs
        assert mark.exists()
        built = chores.do("reindex", apply=True)
        assert built.code == 0, built.logs
        assert "a server runs on host aim-7: asking it" in built.logs
        assert built.last_line == "aim-supervisor: 3 runs are indexed, 0 cannot be read"
        assert not mark.exists()
        assert len(indexed(chores.runs)) == 3
    assert not list((chores.runs / ".aim-maintenance").iterdir())


def test_without_a_server_a_chore_does_what_needs_the_store_alone(chores: Chores) -> None:
    """It holds the volume's lock meanwhile; the next server builds the index."""
    with running(SERVER, chores.runs) as server:
        server.await_ready()
        wait_for(lambda: len(indexed(chores.runs)) == 3, seconds=60, still=server)
    pruned = chores.do("prune", apply=True)
    assert pruned.last_line.startswith("aim-supervisor: 0 entries of deleted runs"), pruned.logs
    built = chores.do("reindex", apply=True)
    assert built.last_line.startswith("aim-supervisor: no server runs: the index is removed"), built.logs
    assert not (chores.repository / "meta/index").exists()
    assert chores.do("prune", apply=True).last_line == "aim-supervisor: there is no index to prune"


def test_a_deleted_run_comes_back_from_the_trash(chores: Chores) -> None:
    """Deleted in the UI, it is there again with points, name, tags and note, while the server goes on and finds it."""
    run, other, *_ = sorted(read(chores.runs))
    describe(chores.runs, run)
    before = details(chores.runs, run)
    with running(SERVER, chores.runs) as server:
        server.await_ready()
        wait_for(lambda: len(indexed(chores.runs)) == 3, seconds=60, still=server)
        delete(server, run)
        delete(server, other)
        assert details(chores.runs, run) == {"rows": []}
        assert run in chores.do("undelete").logs
        dry = chores.do("undelete", run=run)
        assert dry.last_line.startswith("aim-supervisor: dry run"), dry.logs
        assert details(chores.runs, run) == {"rows": []}
        brought = chores.do("undelete", run=run, apply=True)
        assert brought.code == 0, brought.logs
        assert brought.last_line == "aim-supervisor: 1 deleted runs are brought back"
        assert_all_there({run: before["points"]}, server)
    assert details(chores.runs, run) == before
    again = chores.do("undelete", run=run, apply=True)
    assert again.code == 1
    assert "the trash has no run" in again.last_line


def test_a_run_whose_deletion_fails_is_found_as_before(chores: Chores) -> None:
    """Such as by a full volume; it is gone from the index by then, and searches would never find it again."""
    run, *_ = sorted(read(chores.runs))
    (chores.runs / TRASH).touch()
    with running(SERVER, chores.runs) as server:
        server.await_ready()
        wait_for(lambda: len(indexed(chores.runs)) == 3, seconds=60, still=server)
        with pytest.raises(AssertionError):
            delete(server, run)
        wait_for(lambda: len(indexed(chores.runs)) == 3, seconds=60, still=server)
    assert run in read(chores.runs)


def test_a_run_that_was_deleted_while_it_was_written_is_closed_when_it_comes_back(chores: Chores) -> None:
    """Its mark of progress is gone with it, and its writer has failed: it would be active for ever."""
    run = held_run(chores.runs)
    test_trash.delete(chores.runs, run)
    own(*chores.runs.rglob("*"))
    assert not [*chores.repository.glob(f"locks/{run}*"), *chores.repository.glob(f"meta/*/{run}")]
    brought = chores.do("undelete", apply=True, run=run)
    assert brought.code == 0, brought.logs
    assert read(chores.runs)[run]["ended"]


def test_a_new_run_has_no_tags_of_a_deleted_one(chores: Chores) -> None:
    """SQLite gives the number of the newest deleted run to the next; Aim leaves its tags and notes under it."""
    newest = latest(chores.runs)
    describe(chores.runs, newest)
    with running(SERVER, chores.runs) as server:
        server.await_ready()
        delete(server, newest)
        (fresh,) = client("write", chores.runs)
    assert details(chores.runs, fresh)["rows"][0][-2:] == (None, None)


def latest(volume: Path) -> str:
    """The run with the highest number."""
    with sqlite3.connect(volume / ".aim/run_metadata.sqlite") as database:
        return str(database.execute("SELECT hash FROM run ORDER BY id DESC").fetchone()[0])


def test_the_trash_is_emptied_of_what_is_old(chores: Chores) -> None:
    """Not of what was deleted lately; and of runs that are named, whenever they were deleted."""
    run, other, *_ = sorted(read(chores.runs))
    with running(SERVER, chores.runs) as server:
        server.await_ready()
        delete(server, run)
        delete(server, other)
    assert "0 of 2 deleted runs" in chores.do("empty-trash", apply=True).last_line
    named = chores.do("empty-trash", older_than=0, run=run)
    assert "1 of 2 deleted runs are removed" in named.last_line, named.logs
    dry = chores.do("empty-trash", older_than=0)
    assert "would remove run" in dry.logs
    assert len(list((chores.runs / TRASH).iterdir())) == 2
    assert "1 of 2 deleted runs are removed" in chores.do("empty-trash", apply=True, run=run).last_line
    assert [path.name.endswith(other) for path in (chores.runs / TRASH).iterdir()] == [True]
    assert "1 of 1 deleted runs are removed" in chores.do("empty-trash", apply=True, older_than=0).last_line
    assert not list((chores.runs / TRASH).iterdir())


@pytest.mark.parametrize("apply", [True, False])
@pytest.mark.parametrize(("run", "reason"), [("../..", "is no hash of a run"), ("a" * 24, "the trash has no run")])
def test_a_run_that_cannot_be_is_refused(chores: Chores, *, run: str, reason: str, apply: bool) -> None:
    """The exit code is 1, and the last line, which is the message of the container, says why; also of a dry run."""
    refused = chores.do("undelete", run=run, apply=apply)
    assert refused.code == 1
    assert reason in refused.last_line


def test_a_volume_without_a_repository_is_refused(chores: Chores) -> None:
    """Nothing is made on it."""
    chores.repository.rename(chores.runs / "elsewhere")
    refused = chores.do("report")
    assert refused.code == 1
    assert "is no Aim repository" in refused.last_line
    assert not chores.repository.exists()

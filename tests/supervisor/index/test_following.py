"""The index follows the runs; nothing ends the indexer but a second one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

from tests.supervisor.index.conftest import INDEX, indexing, runs_of
from tests.supervisor.processes import client, done, indexed, make_runs, role


def test_an_unreadable_run_is_logged_once_and_indexed_when_it_can_be_read(copy: Path) -> None:
    """As one of a trainer of another user; the others are indexed, before and after it."""
    first, *others = sorted(runs_of(copy))
    shutil.rmtree(copy / INDEX)
    (copy / ".aim/meta/chunks" / first).chmod(0)
    with indexing(copy, limited=True) as indexer:
        indexer.wait_for(lambda: indexer.told.get("unreadable") == 1)
        assert (indexer.told["waiting"], indexer.told["waiting_since"]) == (0, 0)  # or its lag would grow for ever
        assert indexed(copy).keys() == set(others)
        later = client("write", copy)
        indexer.wait_for(lambda: later.keys() <= indexed(copy).keys())
        assert len([line for line in indexer.lines if first in line]) == 1
        (copy / ".aim/meta/chunks" / first).chmod(0o755)
        indexer.wait_for(lambda: first in indexed(copy))
        assert indexer.told["unreadable"] == 0


def test_a_damaged_run_does_not_keep_the_others_from_being_indexed(copy: Path) -> None:
    """It is counted, with its name in the log."""
    first, *others = sorted(runs_of(copy))
    shutil.rmtree(copy / INDEX)
    os.truncate(copy / ".aim/meta/chunks" / first / "CURRENT", 0)
    with indexing(copy) as indexer:
        indexer.wait_for(lambda: indexer.told.get("unreadable") == 1)
        assert indexed(copy).keys() == set(others)
        assert any(f"run {first} cannot be read, and is not indexed: Corruption" in line for line in indexer.lines)


def test_a_run_that_ends_while_runs_are_listed_ends_nothing(copy: Path) -> None:
    """Aim lists `meta/progress`, and then asks for the time of each; a dangling link is there and is not, as it."""
    (copy / ".aim/meta/progress/gone").symlink_to("/nowhere")
    with indexing(copy) as indexer:
        indexer.await_indexed()
        later = client("write", copy)
        indexer.wait_for(lambda: later.keys() <= indexed(copy).keys())


def test_a_run_whose_trainer_was_killed_is_closed(copy: Path) -> None:
    """With the time of the look as its end, as Aim does it."""
    with role("hold", copy) as trainer:
        run = trainer.await_told("run")
    assert (copy / ".aim/meta/progress" / run).exists()
    lose_check_ins(copy, run)
    with indexing(copy) as indexer:
        indexer.wait_for(lambda: indexed(copy).get(run) == [0, True], seconds=90)
    assert not (copy / ".aim/meta/progress" / run).exists()


def test_a_run_that_has_not_checked_in_yet_goes_on(copy: Path) -> None:
    """Its trainer has just made its file in `meta/progress`; it must not be taken for lost, and lose that."""
    with role("hold", copy) as trainer:
        run = trainer.await_told("run")
        lose_check_ins(copy, run)
        with indexing(copy) as indexer:
            indexer.await_indexed()
            assert indexed(copy)[run] == [0, False]
            assert (copy / ".aim/meta/progress" / run).exists()


def test_a_run_whose_trainer_is_only_slow_goes_on(copy: Path) -> None:
    """It has not checked in for long, and has the run open still: it is left alone, with the mark of its progress."""
    with role("hold", copy) as trainer:
        run = trainer.await_told("run")
        lose_check_ins(copy, run)
        with role("close_lost", copy) as looking:
            assert looking.ended() == 0
            assert not [line for line in looking.lines if run in line]
        assert (copy / ".aim/meta/progress" / run).exists()
    lose_check_ins(copy, run)
    done("close_lost", copy)
    assert not (copy / ".aim/meta/progress" / run).exists()


def test_a_lost_run_that_cannot_be_closed_keeps_its_mark(copy: Path) -> None:
    """It is said once, and tried again: a backup and a chore find the run by its mark."""
    with role("hold", copy) as trainer:
        run = trainer.await_told("run")
    lose_check_ins(copy, run)
    (copy / ".aim/meta/chunks" / run / "CURRENT").write_text("MANIFEST-of-another", encoding="utf-8")
    with role("close_lost", copy) as looking:
        assert looking.ended() == 0
        assert len([line for line in looking.lines if f"cannot close run {run}" in line]) == 1, looking.lines
    assert (copy / ".aim/meta/progress" / run).exists()


def test_a_lost_run_has_no_half_written_points(copy: Path) -> None:
    """Aim would give every later value to another step for ever, and nothing closes a run that has ended."""
    run = done("track_only", copy)["run"]
    with indexing(copy) as indexer:
        indexer.wait_for(lambda: run in indexed(copy))
    before = done("values", copy, "--run", run)["values"]
    assert done("tear", copy, "--run", run)["torn"]
    (copy / ".aim/meta/progress" / run).touch()
    lose_check_ins(copy, run)
    with role("close_lost", copy) as looking:
        assert looking.ended() == 0
        assert [line for line in looking.lines if f"removed 1 half-written points of run {run}" in line], looking.lines
    assert done("values", copy, "--run", run) == {"values": before[1:]}


def test_to_look_for_half_written_points_is_in_nobody_s_way(copy: Path) -> None:
    """A trainer comes back while millions of points are looked at, and opens its run for writing."""
    with role("hold", copy) as trainer:
        assert done("torn", copy, "--run", trainer.await_told("run")) == {"torn": 0}


def test_a_run_that_is_deleted_while_it_is_closed_is_not_made_anew(copy: Path) -> None:
    """It could not be brought back then."""
    run = min(runs_of(copy))
    assert done("close_while_deleted", copy, "--run", run) == {"problem": "its parameters are gone"}
    assert run not in runs_of(copy)


def test_a_lost_run_with_damaged_points_is_closed(copy: Path) -> None:
    """No later look would mend it; the report of a chore and a drill name the damage."""
    run = min(runs_of(copy))
    (table,) = list((copy / ".aim/seqs/chunks" / run).glob("*.sst"))[:1]
    table.write_bytes(bytes(table.stat().st_size))
    (copy / ".aim/meta/progress" / run).touch()
    lose_check_ins(copy, run)
    with role("close_lost", copy) as looking:
        assert looking.ended() == 0
        assert len([line for line in looking.lines if f"run {run} is damaged" in line]) == 1, looking.lines
    assert not (copy / ".aim/meta/progress" / run).exists()


def test_a_lost_run_of_another_user_is_said(copy: Path) -> None:
    """Its files cannot be written, which is no sign of a trainer that has it open."""
    with role("hold", copy) as trainer:
        run = trainer.await_told("run")
    lose_check_ins(copy, run)
    for kind in ("meta", "seqs"):
        (copy / f".aim/{kind}/chunks" / run / "LOCK").chmod(0o444)
    with role("close_lost", copy, limited=True) as looking:
        assert looking.ended() == 0
        assert [line for line in looking.lines if f"cannot close run {run}" in line], looking.lines
    assert (copy / ".aim/meta/progress" / run).exists()


def test_a_lost_run_that_is_deleted_meanwhile_is_not_made_anew(copy: Path) -> None:
    """It could not be brought back from the trash then."""
    with role("hold", copy) as trainer:
        run = trainer.await_told("run")
    lose_check_ins(copy, run)
    shutil.rmtree(copy / ".aim/meta/chunks" / run)
    done("close_lost", copy)
    assert not (copy / ".aim/meta/chunks" / run).exists()


def lose_check_ins(volume: Path, run: str) -> None:
    """Remove what the trainer of a run has told."""
    for check_in in (volume / ".aim/check_ins").glob(f"{run}-*"):
        check_in.unlink()


def test_new_running_and_ended_runs_are_found_within_seconds(copy: Path) -> None:
    """A search reads of a run what the index has of it."""
    with indexing(copy) as indexer, role("hold", copy) as trainer:
        run = trainer.await_told("run")
        indexer.wait_for(lambda: indexed(copy).get(run) == [0, False], seconds=15)
        for number in range(1, 4):
            trainer.write(str(number))
            expected = [number, False]
            indexer.wait_for(lambda wanted=expected: indexed(copy).get(run) == wanted, seconds=15)  # type: ignore[misc]
        assert trainer.process.stdin
        trainer.process.stdin.close()
        trainer.ended()
        indexer.wait_for(lambda: indexer.told["running"] == 0, seconds=90)


def test_what_happened_while_the_indexer_was_held_up_is_found(copy: Path) -> None:
    """A run began and ended, one was resumed and ended, one was deleted."""
    resumed, deleted, *_ = sorted(runs_of(copy))
    with indexing(copy) as indexer:
        indexer.await_indexed()
        indexer.process.send_signal(signal.SIGSTOP)
        (begun,) = client("write", copy)
        done("resume", copy, "--run", resumed, "--number", 77)
        shutil.rmtree(copy / ".aim/meta/chunks" / deleted)
        indexer.process.send_signal(signal.SIGCONT)
        indexer.wait_for(lambda: indexed(copy).get(resumed) == [77, True], seconds=15)
        indexer.wait_for(lambda: indexed(copy).keys() == runs_of(copy), seconds=15)
        assert begun in indexed(copy)


def test_a_change_without_a_trace_is_found_in_the_end(copy: Path) -> None:
    """A few runs are compared in each second, whatever they are."""
    run = min(runs_of(copy))
    with indexing(copy) as indexer:
        indexer.await_indexed()
        done("resume", copy, "--run", run, "--number", 78)
        indexer.wait_for(lambda: indexed(copy).get(run) == [78, True])
        shutil.copytree(copy / ".aim", copy / "other")
        indexer.process.send_signal(signal.SIGSTOP)
        done("resume", copy, "--run", run, "--number", 79)
        shutil.copytree(copy / ".aim/meta/chunks" / run, copy / "written")
        shutil.rmtree(copy / ".aim/check_ins")
        shutil.copytree(copy / "other/check_ins", copy / ".aim/check_ins")
        indexer.process.send_signal(signal.SIGCONT)
        indexer.wait_for(lambda: indexed(copy).get(run) == [79, True])


def test_it_is_ready_before_all_runs_are_indexed(tmp_path: Path) -> None:
    """A restored store is served at once; three hundred runs take a handful of threads, and no more."""
    done("prepare", tmp_path)
    make_runs(tmp_path, folders=300)
    with indexing(tmp_path) as indexer:
        indexer.await_indexed()
        assert indexer.statuses[0]["waiting"] == 300
        assert "indexing 300 runs" in indexer.statuses[0]["text"]
        assert max(status["threads"] for status in indexer.statuses) < 32
        first, last = indexer.statuses[0], indexer.statuses[-1]
        assert first["changed"] <= first["waiting_since"] <= last["changed"]
        assert (last["waiting"], last["waiting_since"]) == (0, 0)
        assert len(indexed(tmp_path)) == 300


def test_looking_costs_the_same_with_many_finished_runs(tmp_path: Path) -> None:
    """What is asked of the file system in ten idle seconds, with twenty runs and with two hundred."""
    calls = []
    for folders in (20, 200):
        volume = tmp_path / str(folders)
        volume.mkdir()
        done("prepare", volume)
        make_runs(volume, folders=folders)
        with role("counted_index", volume) as indexer:
            calls.append(indexer.await_told("calls"))
    assert calls[1] < calls[0] * 1.3


def test_runs_that_do_not_change_are_not_indexed_again(copy: Path) -> None:
    """Each time costs some milliseconds: with hundreds of running runs that would be much of a core."""
    with indexing(copy) as indexer, role("hold", copy) as trainer:
        run = trainer.await_told("run")
        indexer.wait_for(lambda: indexed(copy).get(run) == [0, False])
        time.sleep(3)
        before = min((copy / INDEX).glob("MANIFEST*")).name
        time.sleep(35)
        assert min((copy / INDEX).glob("MANIFEST*")).name == before


def test_a_lock_that_is_held_for_moments_is_waited_for(copy: Path) -> None:
    """As by a reader of Aim's that tidies the index up, or while a run is deleted."""
    with indexing(copy) as indexer, role("hold_index", copy) as holder:
        holder.await_told("held")
        later = client("write", copy)
        time.sleep(3)
        holder.process.kill()
        indexer.wait_for(lambda: later.keys() <= indexed(copy).keys())


def test_a_second_indexer_ends_the_first(copy: Path) -> None:
    """Two servers on a store must not go on for long, whoever was first."""
    with indexing(copy) as indexer, role("hold_index", copy) as holder:
        holder.await_told("held")
        client("write", copy)
        assert "While lock file" in indexer.refusal()


def test_an_indexer_that_hangs_ends(copy: Path) -> None:
    """A thread that waits for a file system that does not answer is as dead as one that has ended."""
    with role("hung_index", copy) as indexer:
        assert "Aim's thread for indexing has not moved for" in indexer.refusal()


def test_a_reader_leaves_the_index_as_it_is(copy: Path) -> None:
    """Aim opens it for writing, to tidy up what a killed indexer has left."""
    shutil.rmtree(copy / INDEX)
    with indexing(copy) as indexer:
        indexer.await_told("ready")
        indexer.wait_for(lambda: indexer.statuses)
    before = {path.name for path in (copy / INDEX).iterdir() if not path.name.startswith("LOG")}
    read = done("read", copy, "--protected")["read"]
    assert before == {path.name for path in (copy / INDEX).iterdir() if not path.name.startswith("LOG")}
    assert set(read) == indexed(copy).keys()


def test_a_run_is_deleted_though_the_index_is_being_written(copy: Path) -> None:
    """The deletion waits for the lock; the run is gone from the index, too."""
    run = min(runs_of(copy))
    with role("hold_index", copy) as holder:
        holder.await_told("held")
        with role("delete", copy, "--protected", "--run", run) as deletion:
            time.sleep(3)
            assert deletion.is_alive()
            holder.process.kill()
            assert deletion.await_told("deleted")
    assert run not in indexed(copy)


def test_bulk_indexing_survives_readers_deletions_and_kills(tmp_path: Path) -> None:
    """Every run that is left is found in the end, and none that was deleted."""
    done("prepare", tmp_path)
    make_runs(tmp_path, rows=400, folders=400)
    deleted = [f"{number:024x}" for number in range(0, 400, 80)]
    with role("read", tmp_path, "--protected", "--again") as reader, role("read", tmp_path, "--again") as other:
        for wait in (0.2, 0.5):
            with indexing(tmp_path) as indexer:
                indexer.wait_for(lambda: indexer.statuses)
                time.sleep(wait)
        with indexing(tmp_path) as indexer:
            indexer.wait_for(lambda: indexer.statuses)
            assert all(done("delete", tmp_path, "--protected", "--run", run)["deleted"] for run in deleted)
            indexer.await_indexed()
            indexer.wait_for(lambda: indexed(tmp_path).keys() == runs_of(tmp_path))
        assert reader.is_alive()
        assert other.log.exists()
    assert runs_of(tmp_path).isdisjoint(deleted)
    assert len(runs_of(tmp_path)) == 395


def test_nothing_is_lost_while_runs_come_and_go_and_everybody_is_killed(tmp_path: Path) -> None:
    """In the end, the index has of each run what its folder has; SOAK_SECONDS makes it longer than half a minute."""
    seconds = float(os.environ.get("SOAK_SECONDS", "30"))
    done("prepare", tmp_path)
    moments, end = random.Random(7), time.monotonic() + seconds
    options = ("--seconds", seconds - 10)
    with role("churn", tmp_path, *options) as one, role("churn", tmp_path, *options, "--number", 2) as other:
        while time.monotonic() < end:
            with indexing(tmp_path), role("churn", tmp_path, "--number", moments.randrange(1000)):
                time.sleep(moments.uniform(4, 9))
        assert one.await_told("churned")
        assert other.await_told("churned")
    nothing: dict[str, list[str]] = {"other": [], "missing": [], "ghosts": []}
    with indexing(tmp_path) as indexer:
        indexer.wait_for(lambda: done("compare", tmp_path) == nothing, seconds=120)

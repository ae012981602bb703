"""A copy comes back: into an empty volume, beside a repository that is kept, or one run of it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from constructs_lib.supervisor import underway
from constructs_lib.supervisor.restoring import restored_folder
from constructs_lib.supervisor.staging import COPY, RESTORING
from constructs_lib.supervisor.trash import TRASH
from constructs_lib.supervisor.underway import UNDERWAY, await_restore, begin
from tests.backup.conftest import Backup
from tests.backup.test_copying import unlist
from tests.harness.jobs import Job
from tests.harness.sandbox import Pod, assert_all_there, disk, fill, own, running, training, wait_for
from tests.supervisor.processes import client, done, role
from tests.supervisor.test_staging import acknowledged, read

ROOT = Path(__file__).resolve().parents[2]
SERVER = list(yaml.safe_load_all((ROOT / "dist/aim.k8s.yaml").read_text(encoding="utf-8")))


def test_a_copy_made_while_writers_go_on_is_served_from_an_empty_volume(backup: Backup) -> None:
    """Every acknowledged point is there; runs in progress are closed, and the server finds them all."""
    with running(SERVER, backup.runs) as server, training(SERVER, backup.runs) as trainer:
        server.await_ready()
        trainer.client("acknowledge", "--points", 300)
        wait_for(lambda: len(acknowledged(backup.runs)) >= 3, seconds=120, still=trainer)
        steps = acknowledged(backup.runs)
        copied = backup.copy()
        assert copied.code == 0, copied.logs
        runs = int(copied.last_line.split()[2])
        wait_for(lambda: f"aim_backup_runs {runs}.0\n" in server.health("metrics")[1], seconds=90, still=server)
        wait_for(lambda: "aim_runs_running 1.0\n" in server.health("metrics")[1], seconds=60, still=server)
    restored = backup.restore(into="fresh")
    assert restored.code == 0, restored.logs
    assert "which were in progress and are closed; there was no repository before" in restored.last_line
    found = read(backup.others["fresh"])
    assert all(found[run]["points"] > step for run, step in steps.items())
    assert all(run["ended"] for run in found.values())
    with running(SERVER, backup.others["fresh"]) as server:
        server.await_ready()
        assert_all_there({run: each["points"] for run, each in found.items()}, server)


def test_a_server_that_runs_is_not_replaced(seeded: Backup) -> None:
    """The Job ends before it has downloaded anything, and names the way out."""
    seeded.copy()
    with running(SERVER, seeded.runs, host="aim-7") as server:
        server.await_ready()
        refused = seeded.restore()
    assert (refused.container, refused.code) == ("admit", 1)
    assert "the server on host aim-7 holds" in refused.last_line
    assert "scale its Deployment to 0" in refused.last_line


def test_a_run_that_a_trainer_writes_to_is_not_replaced(seeded: Backup) -> None:
    """It finds its files by their path: it would write into the restored run, and neither could be read."""
    seeded.copy()
    restoring = seeded.restoring()
    for name in ("admit", "restic"):
        with restoring.started(name) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, output
    with role("hold", seeded.runs) as trainer:
        run = trainer.await_told("run")
        own(*seeded.runs.rglob("*"))
        with restoring.started("restore") as process:
            late, _ = process.communicate()
        early = seeded.restore()
        trainer.write("7")
        trainer.wait_for(lambda: trainer.told.get("number") == 7)
    assert (early.container, early.code) == ("admit", 1)
    assert f"trainers write to 1 runs over the volume ({run})" in early.last_line
    assert f"trainers write to 1 runs over the volume ({run})" in late
    assert run in read(seeded.runs)
    assert not list(seeded.runs.glob(".aim-before-restore-*"))


def test_a_server_that_starts_during_a_restore_waits(backup: Backup, store: Path) -> None:
    """Into an empty volume, on which it would begin a repository: the restore would be refused in the end."""
    shutil.copytree(store, backup.runs, dirs_exist_ok=True)
    own(*backup.runs.rglob("*"))
    before = read(backup.runs)
    assert backup.copy().code == 0
    fresh = backup.others["fresh"]
    job = dataclasses.replace(backup, runs=fresh).restoring()
    ended(job, "admit")
    with running(SERVER, fresh) as server:
        waits = f"waiting for the restore that touches /aim/{UNDERWAY} to end"
        wait_for(lambda: waits in server.health("startz")[1], seconds=30, still=server)
        ended(job, "restic")
        assert waits in server.health("startz")[1]
        assert "restored 3 runs" in ended(job, "restore")
        server.await_ready()
        assert_all_there({run: each["points"] for run, each in before.items()}, server)
    assert not (fresh / UNDERWAY).exists()


def ended(job: Job, name: str) -> str:
    """Run a container of a Job to its end; what it wrote."""
    ended = job.run_one(name)
    assert ended.code == 0, ended.logs
    return ended.logs


def test_a_server_waits_for_no_restore_that_has_failed(seeded: Backup) -> None:
    """With another password nothing is downloaded, and the file that makes servers wait is gone."""
    seeded.copy()
    failed = dataclasses.replace(seeded, secrets={"backup/password": "wrong"}).restore(into="fresh")
    assert (failed.container, "wrong password or no key found" in failed.last_line) == ("restic", True)
    assert not (seeded.others["fresh"] / UNDERWAY).exists()


def test_a_server_waits_for_no_restore_that_was_killed(tmp_path: Path) -> None:
    """The file is not touched any more, and is removed."""
    begin(tmp_path)
    reasons: list[str] = []
    asyncio.run(await_restore(tmp_path, reasons.append, silence=0.1))
    assert reasons
    assert not (tmp_path / UNDERWAY).exists()


def test_whoever_waits_sees_that_a_restore_is_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes minutes with thousands of runs."""
    monkeypatch.setattr(underway, "TOUCH_SECONDS", 0.01)
    begin(tmp_path)
    os.utime(tmp_path / UNDERWAY, (0, 0))
    with underway.kept(tmp_path):
        while not (tmp_path / UNDERWAY).stat().st_mtime:
            time.sleep(0.01)
    assert not (tmp_path / UNDERWAY).exists()


def test_the_former_repository_is_kept(seeded: Backup) -> None:
    """What was there is moved aside, whole, and what was restored is in its place."""
    seeded.copy()
    copied = set(read(seeded.runs))
    newer = client("write", seeded.runs, "--runs", 1)
    own(*seeded.runs.rglob("*"))
    restored = seeded.restore()
    assert restored.code == 0, restored.logs
    (kept,) = seeded.runs.glob(".aim-before-restore-*")
    assert f"kept in /aim/{kept.name}" in restored.last_line
    assert set(read(seeded.runs)) == copied
    (seeded.runs / "former").mkdir()
    kept.rename(seeded.runs / "former/.aim")
    assert set(read(seeded.runs / "former")) == copied | newer.keys()
    assert not (seeded.runs / restored_folder(None)).exists()
    assert not (seeded.runs / RESTORING).exists()


def test_an_interrupted_restore_is_no_reason_to_begin_an_empty_repository(volume: Path) -> None:
    """Between two renames there is no repository: a server that starts then refuses, until the restore is repeated."""
    (volume / RESTORING).parent.mkdir()
    (volume / RESTORING).touch()
    assert "a restore was interrupted" in done("prepare", volume)["refused"]
    assert not (volume / ".aim").exists()


def details(volume: Path, run: str) -> dict[str, Any]:
    """What the database has of a run."""
    with contextlib.closing(sqlite3.connect(volume / ".aim/run_metadata.sqlite")) as database:
        question = """SELECT run.name, run.description, run.created_at, experiment.name, note.content, tag.name
            FROM run LEFT JOIN experiment ON experiment.id = run.experiment_id LEFT JOIN note ON note.run_id = run.id
            LEFT JOIN run_tag ON run_tag.run_id = run.id LEFT JOIN tag ON tag.id = tag_id WHERE run.hash = ?"""
        return {"rows": database.execute(question, [run]).fetchall(), **read(volume).get(run, {})}


def describe(volume: Path, run: str) -> None:
    """Give a run a name, a tag and a note, as people do in the UI."""
    with contextlib.closing(sqlite3.connect(volume / ".aim/run_metadata.sqlite")) as database:
        database.execute("UPDATE run SET name = 'the best', description = 'of all' WHERE hash = ?", [run])
        (number,) = database.execute("SELECT id FROM run WHERE hash = ?", [run]).fetchone()
        database.execute("INSERT INTO tag (id, uuid, name) VALUES (7, 'u', 'good')")
        database.execute("INSERT INTO run_tag (run_id, tag_id) VALUES (?, 7)", [number])
        database.execute("INSERT INTO note (content, run_id) VALUES ('keep it', ?)", [number])
        database.commit()


def test_one_run_comes_back_into_a_living_repository(seeded: Backup) -> None:
    """Deleted in the UI, it is there again with all that it had, while the server goes on and finds it."""
    run, *others = sorted(read(seeded.runs))
    describe(seeded.runs, run)
    before = details(seeded.runs, run)
    assert seeded.copy().code == 0
    with running(SERVER, seeded.runs) as server:
        server.await_ready()
        assert "good" in str(before["rows"])
        assert "nothing is overwritten" in seeded.restore(run=run).last_line
        delete(server, run)
        assert details(seeded.runs, run) == {"rows": []}
        brought = seeded.restore(run=run)
        assert brought.code == 0, brought.logs
        assert brought.last_line == f"aim-supervisor: brought run {run} back"
        assert_all_there({run: before["points"]}, server)
    assert details(seeded.runs, run) == before
    assert set(read(seeded.runs)) == {run, *others}


def test_a_restore_of_one_run_that_was_interrupted_is_done_again(seeded: Backup) -> None:
    """Killed when it had moved the sequences, and not yet the parameters; nothing of what was there is removed."""
    run = min(read(seeded.runs))
    before = details(seeded.runs, run)
    assert seeded.copy().code == 0
    lose(seeded.runs, run)
    job = seeded.restoring(run=run)
    ended(job, "admit")
    ended(job, "restic")
    sequences = f".aim/seqs/chunks/{run}"
    (seeded.runs / restored_folder(run) / sequences).rename(seeded.runs / sequences)
    restored = seeded.restore(run=run)
    assert restored.code == 0, restored.logs
    assert details(seeded.runs, run) == before
    assert list((seeded.runs / TRASH).glob(f"*-{run}/seqs"))


def lose(volume: Path, run: str) -> None:
    """Remove all that a repository has of a run."""
    for kind in ("meta", "seqs"):
        shutil.rmtree(volume / ".aim" / kind / "chunks" / run)
    unlist(volume, run)


def test_a_restore_that_finds_no_room_leaves_none_of_it_taken(backup: Backup, store: Path) -> None:
    """Half of a run would keep the volume full, while the server and trainers go on."""
    with disk(backup.runs, "16m"):
        shutil.copytree(store, backup.runs, dirs_exist_ok=True)
        own(*backup.runs.rglob("*"))
        run, *others = sorted(read(backup.runs))
        assert backup.copy().code == 0
        lose(backup.runs, run)
        fill(backup.runs / "filler")
        os.truncate(backup.runs / "filler", (backup.runs / "filler").stat().st_size - 64 * 1024)
        failed = backup.restore(run=run)
        assert (failed.container, failed.code) == ("restic", 1)
        assert "no space left on device" in failed.logs
        assert not (backup.runs / restored_folder(run)).exists()
        assert sorted(read(backup.runs)) == others
        (backup.runs / "filler").unlink()
        assert backup.restore(run=run).code == 0


def test_a_copy_from_which_restic_has_left_a_file_out_is_refused(seeded: Backup) -> None:
    """The Job of the copy fails, and its snapshot is the newest all the same; runs that are whole in it come back."""
    (run,) = client("write", seeded.runs, "--runs", 1)
    other = min(read(seeded.runs).keys() - {run})
    own(*seeded.runs.rglob("*"))
    ended(seeded.job(), "stage")
    (manifest,) = (seeded.runs / COPY / ".aim/seqs/chunks" / run).glob("MANIFEST-*")
    manifest.unlink()
    ended(seeded.job(), "restic")
    refused = seeded.restore(into="fresh")
    assert (refused.container, refused.code) == ("restore", 1)
    assert "1 files are not in the snapshot" in refused.last_line
    assert not (seeded.others["fresh"] / ".aim").exists()
    drilled = seeded.job("aim-drill").run()
    assert (drilled.code, "1 files are missing" in drilled.last_line) == (1, True)
    for each in (run, other):
        lose(seeded.runs, each)
    assert f"1 files of run {run} are not in the snapshot" in seeded.restore(run=run).last_line
    assert seeded.restore(run=other).last_line == f"aim-supervisor: brought run {other} back"


def test_a_restore_waits_for_one_of_all_runs(seeded: Backup) -> None:
    """It would remove what the other one has downloaded, or see its run moved aside."""
    run = min(read(seeded.runs))
    seeded.copy()
    lose(seeded.runs, run)
    whole, one = seeded.restoring(), seeded.restoring(run=run)
    for name in ("admit", "restic"):
        ended(whole, name)
    begin(seeded.runs)
    with one.started("admit") as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(5)
        assert "restored 3 runs" in ended(whole, "restore")
        assert waiting.wait(30) == 1
    assert run in read(seeded.runs)


def test_a_run_that_the_database_has_lost_comes_back_without_a_row(seeded: Backup) -> None:
    """As it was: Aim lists it when a client opens it."""
    run = min(read(seeded.runs))
    unlist(seeded.runs, run)
    assert seeded.copy().code == 0
    lose(seeded.runs, run)
    restored = seeded.restore(run=run)
    assert restored.last_line == f"aim-supervisor: brought run {run} back", restored.logs
    assert (seeded.runs / ".aim/meta/chunks" / run / "CURRENT").exists()


def test_a_run_that_comes_back_knows_where_its_artifacts_are(seeded: Backup) -> None:
    """Their files are beside the repository, where neither a deletion nor a restore touches them; no copy has them."""
    run = min(read(seeded.runs))
    done("artifact", seeded.runs, "--run", run)
    own(*seeded.runs.rglob("*"))
    before = done("artifacts", seeded.runs, "--run", run)["artifacts"]
    assert seeded.copy().code == 0
    lose(seeded.runs, run)
    assert seeded.restore(run=run).code == 0
    assert done("artifacts", seeded.runs, "--run", run)["artifacts"] == before
    assert [Path(uri.removeprefix("file://")).is_file() for uri in before] == [True]


def delete(server: Pod, run: str) -> None:
    """Delete a run as the UI does."""
    code = (
        f"import urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:43800/api/runs/{run}/', method='DELETE'))"
    )
    process = server.start("python3", "-c", code)
    assert process.wait(60) == 0


def test_points_that_were_half_written_are_removed_from_a_run_that_is_closed(seeded: Backup) -> None:
    """Aim would take every later point for its neighbour's for ever."""
    run = min(read(seeded.runs))
    (seeded.runs / ".aim/meta/progress" / run).touch()
    before = done("values", seeded.runs, "--run", run)["values"]
    assert done("tear", seeded.runs, "--run", run)["torn"]
    assert done("values", seeded.runs, "--run", run)["values"] != before[1:]
    own(*seeded.runs.rglob("*"))
    seeded.copy()
    restored = seeded.restore()
    assert restored.code == 0, restored.logs
    assert f"closed run {run}, without 1 half-written points" in restored.logs, restored.logs
    assert done("values", seeded.runs, "--run", run) == {"values": before[1:]}


def test_texts_that_were_half_written_are_removed_from_a_run_that_is_closed(seeded: Backup) -> None:
    """So are images and other objects, which Aim stores in another way, with the time last."""
    run = done("track_only", seeded.runs)["run"]
    assert done("tear_text", seeded.runs, "--run", run)["torn"]
    (seeded.runs / ".aim/meta/progress" / run).touch()
    own(*seeded.runs.rglob("*"))
    seeded.copy()
    restored = seeded.restore()
    assert f"closed run {run}, without 1 half-written points" in restored.logs, restored.logs
    assert done("texts", seeded.runs, "--run", run) == {"texts": [[0, "text 0", 0], [2, "text 2", 2]]}
    assert done("values", seeded.runs, "--run", run) == {"values": [[0, 0.0], [1, 1.0], [2, 2.0]]}


def test_texts_without_a_time_from_the_first_on_are_kept(seeded: Backup) -> None:
    """They are of a version of Aim that recorded none, and not half-written."""
    run = done("track_only", seeded.runs)["run"]
    done("tear_text", seeded.runs, "--run", run, "--number", 0)
    (seeded.runs / ".aim/meta/progress" / run).touch()
    own(*seeded.runs.rglob("*"))
    seeded.copy()
    restored = seeded.restore()
    assert restored.code == 0, restored.logs
    assert [line for line in restored.logs.splitlines() if line.endswith(f"closed run {run}")], restored.logs


def test_a_run_that_cannot_be_closed_stays_in_progress(seeded: Backup) -> None:
    """The others come back, and the server or a chore finds it by its mark."""
    run = min(read(seeded.runs))
    mark, current = (seeded.runs / ".aim" / name / run for name in ("meta/progress", "seqs/chunks"))
    mark.touch()
    (current / "CURRENT").write_text("MANIFEST-999999\n", encoding="utf-8")
    own(*seeded.runs.rglob("*"))
    seeded.copy()
    mark.unlink()
    restored = seeded.restore()
    assert restored.code == 0, restored.logs
    assert f"cannot close run {run}" in restored.logs, restored.logs
    assert "0 of which were in progress" in restored.last_line
    assert mark.exists()

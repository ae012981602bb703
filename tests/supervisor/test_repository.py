"""A repository is made, completed or migrated; what is damaged and is nobody's copy is refused with the way out."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.supervisor.staging import BEFORE_MIGRATION
from tests.harness.aim_environment import PYTHON
from tests.harness.sandbox import disk, fill
from tests.supervisor.processes import client, done, indexed, make_runs, recorded, role

RUNS, INTERFACE = ".aim/run_metadata.sqlite", ".aim/aim_db"
LAZY = ["check_ins", "locks", "progress"]
LAZY += [f"{part}/{folder}" for part in ("meta", "seqs") for folder in ("chunks", "locks", "progress")]
COPIED = [
    "ALTER TABLE experiment ADD COLUMN description TEXT",
    "ALTER TABLE note ADD COLUMN experiment_id INTEGER",
    "INSERT INTO note (content, run_id) VALUES ('kept', 1)",
    "CREATE TABLE _alembic_tmp_note AS SELECT * FROM note",
]
NOTE = """CREATE TABLE note (id INTEGER NOT NULL PRIMARY KEY, content TEXT NOT NULL, run_id INTEGER REFERENCES run (id),
    created_at DATETIME, updated_at DATETIME)"""


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared repository with two runs by Aim."""
    return recorded(tmp_path_factory.mktemp("store"), "--runs", 2, "--points", 3)


def asked(path: Path, question: str) -> list[Any]:
    """Rows of a database."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        rows = database.execute(question).fetchall()
        database.commit()
        return rows


def columns(path: Path) -> dict[str, set[str]]:
    """Names of the columns of each table of a database."""
    tables = [name for (name,) in asked(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {table: {row[1] for row in asked(path, f"PRAGMA table_info({table})")} for table in tables}


def schema(path: Path) -> list[Any]:
    """Everything that was ever created in a database, and its version."""
    return [*asked(path, "SELECT type, name, sql FROM sqlite_master ORDER BY name"), *version(path)]


def version(path: Path) -> list[Any]:
    """What alembic noted."""
    return asked(path, "SELECT version_num FROM alembic_version")


def migrate(path: Path, scripts: str, revision: str) -> None:
    """Make a database as Aim itself does, of an older version too."""
    code = "import aim, pathlib; print(pathlib.Path(aim.__file__).parent)"
    aim = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    variables = {"AIM_RUN_META_DATA_DB_URL": f"sqlite:///{path}", "__AIM_UI_MOUNT_REPO_PATH__": str(path.parents[1])}
    command = [str(PYTHON), "-m", "alembic", "-c", f"{aim}/{scripts}/alembic.ini", "upgrade", revision]
    subprocess.run(command, env={**os.environ, **variables}, check=True)


def test_a_repository_is_made_as_aim_makes_it(tmp_path: Path) -> None:
    """With the same databases, and with the folders that Aim makes later: a trainer would own them."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for volume in (ours, theirs):
        volume.mkdir()
    assert done("prepare", ours) == {"prepared": True}
    client("init", theirs)
    migrate(theirs / INTERFACE, "web/migrations", "head")
    for name in (RUNS, INTERFACE):
        assert schema(ours / name) == schema(theirs / name)
    assert (ours / ".aim/VERSION").read_bytes() == (theirs / ".aim/VERSION").read_bytes()
    assert all((ours / ".aim" / name).is_dir() for name in LAZY)
    assert client("write", ours)


def test_the_folders_are_made_in_an_older_repository(copy: Path) -> None:
    """One that was made by another server."""
    shutil.rmtree(copy / ".aim/check_ins")
    shutil.rmtree(copy / ".aim/seqs/locks")
    done("prepare", copy)
    assert all((copy / ".aim" / name).is_dir() for name in LAZY)


def test_a_folder_of_a_trainer_that_cannot_be_written_is_no_reason_to_refuse(copy: Path) -> None:
    """The server itself writes nothing in it."""
    shutil.rmtree(copy / ".aim/seqs/locks")
    (copy / ".aim/seqs").chmod(0o555)
    with role("prepare", copy, limited=True) as preparation:
        assert preparation.await_told("prepared")
        assert any("cannot make" in line and "seqs/locks: Permission denied" in line for line in preparation.lines)


def test_a_preparation_killed_at_any_moment_is_completed(tmp_path: Path) -> None:
    """Whatever is left of it."""
    moments = random.Random(5)
    for number in range(8):
        volume = tmp_path / str(number)
        volume.mkdir()
        with role("prepare", volume) as preparation:
            preparation.wait_for(lambda started=preparation: started.lines)  # type: ignore[misc]
            time.sleep(moments.uniform(0, 0.15))
        lock = volume / ".aim/locks/structured_db_lock"
        if lock.exists():  # `serve` removes it: it says whose it is
            holder = [str(preparation.process.pid), socket.gethostname()]
            assert lock.read_text(encoding="utf-8").splitlines()[:2] == holder
            lock.unlink()
        assert done("prepare", volume) == {"prepared": True}
        assert version(volume / RUNS)
        assert version(volume / INTERFACE)


@pytest.mark.parametrize("text", ["", "\n", "\0\0\0\0", None])
def test_an_empty_version_is_completed(copy: Path, text: str | None) -> None:
    """A kill or a full volume between Aim's open and its write leaves it, a loss of power zeros; the runs stay."""
    path, before = copy / ".aim/VERSION", asked(copy / RUNS, "SELECT hash FROM run")
    path.unlink() if text is None else path.write_text(text, encoding="ascii")
    assert done("prepare", copy) == {"prepared": True}
    assert path.read_text(encoding="ascii") == "1.3\n"
    assert asked(copy / RUNS, "SELECT hash FROM run") == before


@pytest.mark.parametrize("text", ["1.3\n", ""])
@pytest.mark.parametrize("lose", [Path.unlink, lambda path: os.truncate(path, 0)])
def test_runs_without_their_database_are_refused(copy: Path, text: str, lose: Callable[[Path], object]) -> None:
    """One that is made anew is empty: Aim lists no run then, and every search is an error."""
    (copy / ".aim/VERSION").write_text(text, encoding="ascii")
    lose(copy / RUNS)
    reason = str(done("prepare", copy)["refused"])
    assert f"{copy / RUNS} is missing or empty, and there are 2 runs: restore the file from a backup" in reason
    assert not (copy / RUNS).exists() or not (copy / RUNS).stat().st_size
    (way_out,) = re.findall(r'python -c "(.*?)" lists them under default names', reason)
    subprocess.run([str(PYTHON), "-c", way_out], check=True)
    assert done("prepare", copy) == {"prepared": True}
    assert len(asked(copy / RUNS, "SELECT hash FROM run")) == 2


def test_a_missing_database_is_made_where_there_are_no_runs(tmp_path: Path) -> None:
    """Nothing is lost by that."""
    done("prepare", tmp_path)
    (tmp_path / RUNS).unlink()
    assert done("prepare", tmp_path) == {"prepared": True}
    assert version(tmp_path / RUNS)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [(RUNS, "restore the file from a backup"), (INTERFACE, "move it away to start with an empty one")],
)
@pytest.mark.parametrize("start", [0, 4096])
def test_a_damaged_database_is_refused(copy: Path, name: str, remedy: str, start: int) -> None:
    """The file is named, and the way out; it is left as it is."""
    path = copy / name
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\x5a" * 8192)
    before = path.read_bytes()
    reason = str(done("prepare", copy)["refused"])
    assert reason.startswith(f"{path} is damaged (")
    assert remedy in reason
    assert path.read_bytes() == before


STEPS: list[tuple[str, list[str]]] = [
    ("1ecf8222220d", []),
    ("1ecf8222220d", ["ALTER TABLE experiment ADD COLUMN is_archived BOOLEAN"]),
    ("fbfe5c4702fb", ["ALTER TABLE tag ADD COLUMN description TEXT"]),
    ("9ba30ab3b2b4", ["ALTER TABLE run ADD COLUMN finalized_at DATETIME"]),
    ("3c4f22db7a46", [NOTE]),
    ("b07e7b07c8ce", COPIED[:1]),
    ("b07e7b07c8ce", COPIED),
    ("b07e7b07c8ce", [*COPIED, "DROP TABLE note"]),
]


@pytest.mark.parametrize(("revision", "half"), STEPS)
def test_an_older_repository_is_migrated_whatever_was_left_of_a_migration(
    copy: Path, revision: str, half: list[str]
) -> None:
    """Aim, killed in a migration, has done a step that it has not noted, and fails at it at every start."""
    newest = columns(copy / RUNS)
    (copy / RUNS).unlink()
    migrate(copy / RUNS, "storage/migrations", revision)
    asked(copy / RUNS, "INSERT INTO run (id, hash, name) VALUES (1, 'abc', 'kept')")
    for statement in half:
        asked(copy / RUNS, statement)
    (copy / ".aim/VERSION").write_text("1.2\n", encoding="ascii")
    assert done("prepare", copy) == {"prepared": True}
    assert columns(copy / RUNS) == newest
    assert version(copy / RUNS) == [("46b89d830ad8",)]
    assert asked(copy / RUNS, "SELECT hash, name FROM run") == [("abc", "kept")]
    assert asked(copy / RUNS, "SELECT content FROM note") == [("kept",)] * (COPIED[2] in half)
    assert (copy / ".aim/VERSION").read_text(encoding="ascii") == "1.3\n"


def test_databases_are_kept_aside_before_a_migration(copy: Path) -> None:
    """Two versions of each, as they were: the way back to an older Aim."""
    for revision in ("1ecf8222220d", "b07e7b07c8ce", "3c4f22db7a46"):
        (copy / RUNS).unlink()
        migrate(copy / RUNS, "storage/migrations", revision)
        asked(copy / RUNS, f"INSERT INTO run (id, hash, name) VALUES (1, 'abc', 'of {revision}')")
        (copy / ".aim/VERSION").write_text("1.2\n", encoding="ascii")
        assert done("prepare", copy) == {"prepared": True}
    kept = {path.suffix[1:]: path for path in (copy / BEFORE_MIGRATION).glob("run_metadata.sqlite.*")}
    assert kept.keys() == {"b07e7b07c8ce", "3c4f22db7a46"}
    for revision, path in kept.items():
        assert version(path) == [(revision,)]
        assert asked(path, "SELECT name FROM run") == [(f"of {revision}",)]


@pytest.mark.parametrize("name", [RUNS, INTERFACE])
def test_a_migration_that_fails_leaves_the_database_as_it_was(copy: Path, name: str) -> None:
    """As that of a newer Aim does."""
    if name == INTERFACE:
        asked(copy / name, "INSERT INTO dashboards (uuid, name) VALUES ('a', 'kept')")
    asked(copy / name, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    before = (copy / name).read_bytes()
    reason = str(done("prepare", copy)["refused"])
    assert reason.startswith(f"cannot bring {copy / name} to this version of Aim")
    assert "a newer Aim wrote it: " in reason
    assert (copy / name).read_bytes() == before


def test_a_database_that_a_trainer_has_open_is_migrated_in_its_place(copy: Path) -> None:
    """A file that is replaced takes along what the trainer writes afterwards."""
    (copy / RUNS).unlink()
    migrate(copy / RUNS, "storage/migrations", "3c4f22db7a46")
    (copy / ".aim/VERSION").write_text("1.2\n", encoding="ascii")
    with contextlib.closing(sqlite3.connect(copy / RUNS)) as trainer:
        trainer.execute("INSERT INTO run (hash) VALUES ('before')")
        trainer.commit()
        assert done("prepare", copy) == {"prepared": True}
        trainer.execute("INSERT INTO run (hash) VALUES ('after')")
        trainer.commit()
    assert asked(copy / RUNS, "SELECT hash FROM run ORDER BY id") == [("before",), ("after",)]


def test_an_initialisation_by_a_trainer_is_waited_for(tmp_path: Path) -> None:
    """Both hold Aim's lock meanwhile: neither finds the half of the other's."""
    (tmp_path / ".aim/locks").mkdir(parents=True)
    with role("hold_creation_lock", tmp_path) as trainer:
        trainer.await_told("held")
        with role("prepare", tmp_path) as preparation:
            preparation.wait_for(lambda: preparation.lines)
            time.sleep(1)
            assert preparation.is_alive()
            trainer.write("go on")
            assert preparation.await_told("prepared")


def test_a_repository_on_a_full_volume_is_ready_to_be_served(store: Path, tmp_path: Path) -> None:
    """Nothing is to be done, so nothing is written; runs are indexed again as soon as there is room."""
    volume = tmp_path / "volume"
    volume.mkdir()
    with disk(volume, "16m"):
        shutil.copytree(store / ".aim", volume / ".aim")
        fill(volume / "filler")
        assert done("prepare", volume) == {"prepared": True}
        with role("index", volume) as indexer:
            indexer.await_told("ready")
            indexer.wait_for(lambda: "the volume is full" in indexer.told.get("text", ""))
            (volume / "filler").unlink()
            rows = {run for (run,) in asked(volume / RUNS, "SELECT hash FROM run")}
            indexer.wait_for(lambda: indexed(volume).keys() == rows)
            assert indexer.is_alive()


def test_ten_thousand_rows_are_looked_through_in_a_moment(tmp_path: Path) -> None:
    """Every page of the databases is read at each start, to find a damaged one."""
    done("prepare", tmp_path)
    make_runs(tmp_path, rows=10_000)
    begin = time.monotonic()
    assert done("prepare", tmp_path) == {"prepared": True}
    assert time.monotonic() - begin < 30

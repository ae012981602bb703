"""Repositories that former versions of Aim have written are served whole; `make_seeds` has made them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from constructs_lib.supervisor.staging import BEFORE_MIGRATION
from tests.harness.aim_environment import ENVIRONMENT
from tests.harness.sandbox import assert_all_there, own, running
from tests.supervisor.processes import done

HERE = Path(__file__).parent
SERVER = list(yaml.safe_load_all((HERE.parents[1] / "dist/aim.k8s.yaml").read_text(encoding="utf-8")))
MIGRATED = {
    "3.17.5": {"aim_db.517a45b2e62c"},
    "3.20.1": {"aim_db.517a45b2e62c"},
    "3.25.1": set[str](),
    "3.29.1": set[str](),
}
"""Of each version, the databases that are migrated, with the revision that they had."""


def unpack(version: str, volume: Path) -> dict[str, Any]:
    """Put the repository of a version on a volume; what that version read of it."""
    with tarfile.open(HERE / f"seeds/aim-{version}.tar.xz") as seed:
        seed.extractall(volume, filter="data")
    told = volume / "told.json"
    runs: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))["runs"]
    told.unlink()
    own(*volume.rglob("*"))
    return runs


def tell(volume: Path) -> dict[str, Any]:
    """What the Aim of now reads of a repository."""
    command = [str(ENVIRONMENT / "bin/python"), str(HERE / "aim_of_old.py"), "tell", str(volume)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    runs: dict[str, Any] = json.loads(output)["runs"]
    return runs


def rows(volume: Path, table: str) -> list[Any]:
    """Rows of a table of the interface's database."""
    with contextlib.closing(sqlite3.connect(volume / ".aim/aim_db")) as database:
        return database.execute(f"SELECT * FROM {table}").fetchall()


@pytest.mark.parametrize("version", MIGRATED)
def test_a_repository_of_a_former_version_is_served_whole(version: str, volume: Path) -> None:
    """Every run, point, parameter, tag, note and image is equal; databases are kept aside before they are migrated."""
    expected = unpack(version, volume)
    dashboards = rows(volume, "dashboards")
    assert len(expected) == 4
    assert all(len(run["metrics"]) == 3 and len(run["stored"]) == 9 for run in expected.values())
    with running(SERVER, volume) as server:
        server.await_ready()
        assert_all_there({run: 60 for run, each in expected.items() if not each["properties"][2]}, server)
        assert tell(volume) == expected
        assert rows(volume, "dashboards") == dashboards
    kept = {path.name for path in (volume / BEFORE_MIGRATION).glob("*")}
    assert kept == MIGRATED[version]


def test_a_kept_database_is_the_way_back(volume: Path) -> None:
    """What was kept is what the former version has written, table for table."""
    unpack("3.17.5", volume)
    before = dump(volume / ".aim/aim_db")
    done("prepare", volume)
    (kept,) = (volume / BEFORE_MIGRATION).glob("aim_db.*")
    assert dump(kept) == before
    assert dump(volume / ".aim/aim_db") != before


def dump(database: Path) -> list[str]:
    """All that is in a database."""
    with contextlib.closing(sqlite3.connect(database)) as opened:
        return list(opened.iterdump())


@pytest.mark.parametrize("name", ["run_metadata.sqlite", "aim_db"])
def test_a_newer_repository_is_refused_with_the_way_back(name: str, volume: Path) -> None:
    """A database of an Aim that is to come is left as it is; the reason says how to restore."""
    unpack("3.29.1", volume)
    with contextlib.closing(sqlite3.connect(volume / ".aim" / name)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()
    before = (volume / ".aim" / name).read_bytes()
    refused = done("prepare", volume)["refused"]
    assert name in refused
    assert "a newer Aim wrote it" in refused
    assert "make restore" in refused
    assert (volume / ".aim" / name).read_bytes() == before

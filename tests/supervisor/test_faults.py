"""The pod of the committed manifests on a damaged repository: served where it can be made anew, else refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from tests.harness.manifest_rules import Manifest
from tests.harness.sandbox import Pod, own, running, skip, wait_for
from tests.supervisor.processes import client, done, make_runs

ROOT = Path(__file__).resolve().parents[2]
INDEX = ".aim/meta/index"


@pytest.fixture
def manifests() -> list[Manifest]:
    """The committed manifests."""
    return list(yaml.safe_load_all((ROOT / "dist/aim.k8s.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def store(volume: Path) -> Path:
    """A repository with three runs by Aim, of the pod's user."""
    done("prepare", volume)
    client("write", volume, "--runs", 3, "--points", 3)
    give(volume)
    return volume


def give(folder: Path) -> None:
    """Give all there is below a folder to the pod's user."""
    own(folder, *folder.rglob("*"))


def found(server: Pod, query: str) -> int:
    """How many runs a search finds: the answer has a time of creation for each."""
    answer = server.get(f"/api/runs/search/run/?q={quote(query)}&report_progress=false", timeout=120)
    return (answer or "").count("creation_time")


def test_damaged_at_the_start_and_while_it_serves_the_index_is_built_anew(
    manifests: list[Manifest], store: Path
) -> None:
    """Every run is found by its parameter both times, and the container goes on."""
    with running(manifests, store) as server:
        server.await_ready()
        wait_for(lambda: found(server, "run.number >= 0") == 3, seconds=60, still=server)
        server.stop()
    os.truncate(store / INDEX / "CURRENT", 0)
    with running(manifests, store) as server:
        server.await_ready()
        wait_for(lambda: found(server, "run.number >= 0") == 3, seconds=60, still=server)
        assert "is damaged" in server.logs
        shutil.rmtree(store / ".aim/meta/index.damaged")
        for table in (store / INDEX).glob("*.sst"):
            table.write_bytes(b"\x5a" * table.stat().st_size)
        assert server.get("/api/projects/params?sequence=metric") is None
        wait_for((store / ".aim/meta/index.damaged").exists, seconds=60, still=server)
        wait_for(lambda: found(server, "run.number >= 0") == 3, seconds=60, still=server)


def test_a_run_of_a_root_trainer_with_a_closed_umask_is_left_out(manifests: list[Manifest], store: Path) -> None:
    """Its folder cannot be read by the pod's user; the others are found, and so is what comes later."""
    if os.geteuid() != 0:
        skip("only root can keep a folder from another user")
    closed = min((store / ".aim/meta/chunks").iterdir())
    os.chown(closed, 0, 0)
    closed.chmod(0o700)
    with running(manifests, store) as server:
        server.await_ready()
        wait_for(lambda: f"run {closed.name} cannot be read" in server.logs, seconds=60, still=server)
        wait_for(lambda: found(server, "run.number >= 0") == 2, seconds=60, still=server)
        server.client("write").wait(60)
        wait_for(lambda: found(server, "run.number >= 0") == 3, seconds=60, still=server)
        assert server.logs.count(f"run {closed.name} cannot be read") == 1


def test_folders_that_a_root_trainer_has_made_do_not_keep_a_server_from_starting(
    manifests: list[Manifest], store: Path
) -> None:
    """Aim makes them when the first run is written: all was well until the next restart."""
    if os.geteuid() != 0:
        skip("only root can own a folder that the pod's user cannot write to")
    for name in ("check_ins", "seqs"):
        os.chown(store / ".aim" / name, 0, 0)
    with running(manifests, store) as server:
        server.await_ready()
        wait_for(lambda: found(server, "run.number >= 0") == 3, seconds=60, still=server)


def test_an_empty_version_is_completed(manifests: list[Manifest], store: Path) -> None:
    """The runs are served."""
    os.truncate(store / ".aim/VERSION", 0)
    with running(manifests, store) as server:
        server.await_ready()
        wait_for(lambda: found(server, "run.number >= 0") == 3, seconds=60, still=server)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("aim_db", "is damaged (file is not a database): restore the file from a backup, or move it away"),
        ("run_metadata.sqlite", "is damaged (file is not a database): restore the file from a backup"),
    ],
)
def test_a_damaged_database_is_the_last_line(manifests: list[Manifest], store: Path, name: str, reason: str) -> None:
    """With its path, and the way out."""
    (store / ".aim" / name).write_bytes(b"\x5a" * 8192)
    with running(manifests, store) as server:
        code, line = server.ended()
    assert code == 1
    assert f"/aim/.aim/{name} {reason}" in line


def test_ten_thousand_tagged_runs_are_searched(manifests: list[Manifest], volume: Path) -> None:
    """SQLite sorts them in a temporary file, for which there must be a folder that can be written to."""
    done("prepare", volume)
    make_runs(volume, rows=10_000)
    give(volume)
    with running(manifests, volume) as server:
        server.await_ready()
        activity = json.loads(server.get("/api/projects/activity", timeout=60) or "{}")
        assert activity.get("num_runs") == 10_000
        assert found(server, "'tag 3' in run.tags") == 2_000

"""Temporary files: SQLite spills large sorts to a folder, and a read-only root has none."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
import yaml

from tests.harness.manifest_rules import Manifest
from tests.harness.sandbox import running

ROOT = Path(__file__).resolve().parents[2]
RUNS = 3_000
_TIME = "2026-01-01 00:00:00.000000"


@pytest.fixture
def manifests() -> list[Manifest]:
    """The committed manifests."""
    return list(yaml.safe_load_all((ROOT / "dist/aim.k8s.yaml").read_text(encoding="utf-8")))


def add_tagged_runs(file: Path) -> None:
    """Write rows of runs, as Aim has one for each, with a description and a tag: over 2 MB to sort."""
    runs = [(n, f"{n:024x}", f"what run {n} is about " * 40, _TIME, _TIME) for n in range(1, RUNS + 1)]
    columns = "id, hash, description, created_at, updated_at, is_archived"
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        db.executemany(f"INSERT INTO run ({columns}) VALUES (?, ?, ?, ?, ?, 0)", runs)
        db.execute("INSERT INTO tag VALUES (1, 'uuid', 'nightly', '', ?, ?, 0, '')", [_TIME, _TIME])
        db.executemany("INSERT INTO run_tag VALUES (?, 1)", [(run[0],) for run in runs])


def test_thousands_of_tagged_runs_are_sorted(manifests: list[Manifest], volume: Path) -> None:
    """Search and the page of the project answer, where they were "disk I/O error" with no folder to spill to."""
    with running(manifests, volume) as server:
        server.await_ready()
        server.stop()
    add_tagged_runs(volume / ".aim/run_metadata.sqlite")
    with running(manifests, volume) as server:
        server.await_ready()
        assert server.get("/api/projects/activity", timeout=60) is not None, server.logs
        assert server.get("/api/runs/search/run/?q=run.archived+==+False", timeout=120) is not None, server.logs

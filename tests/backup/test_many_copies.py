"""Copy after copy of a store with hundreds of runs, while the server runs and two writers go on.

Takes ten minutes, and so is no part of `make test`: `make test LONG=1`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backup.conftest import Backup
from tests.backup.test_restoring import SERVER
from tests.harness.sandbox import own, running, training, wait_for
from tests.supervisor.processes import client
from tests.supervisor.test_staging import acknowledged, assert_acknowledged, read

COPIES = 20
PAUSE = 0.02
"""Seconds between two points: at full speed, each copy would have hundreds of runs more to be read."""


@pytest.fixture
def busy(backup: Backup) -> Iterator[Backup]:
    """A backup of 300 runs that have ended, beside a server and two writers."""
    client("write", backup.runs, "--runs", 300)
    own(*backup.runs.rglob("*"))
    with running(SERVER, backup.runs) as server, training(SERVER, backup.runs) as trainer:
        server.await_ready()
        for name in ("one", "two"):
            trainer.client("acknowledge", "--name", name, "--points", 300, "--pause", PAUSE)
        wait_for(lambda: len(acknowledged(backup.runs)) >= 6, seconds=120, still=trainer)
        yield backup
        assert not [each for each in trainer.commands if each.poll() is not None], trainer.logs


def checksums(volume: Path, runs: set[str]) -> dict[str, str]:
    """Of every table of values of some runs."""
    tables = [path for path in (volume / ".aim").glob("*/chunks/*/*.sst") if path.parent.name in runs]
    return {str(path.relative_to(volume)): hashlib.sha256(path.read_bytes()).hexdigest() for path in tables}


def test_every_copy_of_twenty_has_what_was_acknowledged_before(busy: Backup) -> None:
    """Each is restored at once: points, parameters, and the bytes of the runs that had ended before the first."""
    runs = read(busy.runs)
    ended = {run for run, each in runs.items() if each["ended"]}
    files = checksums(busy.runs, ended)
    assert len(ended) >= 300
    assert files
    for number in range(COPIES):
        steps = acknowledged(busy.runs)
        copied = busy.copy()
        assert copied.code == 0, copied.logs
        fresh = busy.others["fresh"]
        restored = dataclasses.replace(busy, runs=fresh).restore()
        assert restored.code == 0, restored.logs
        found = read(fresh)
        assert_acknowledged(found, steps)
        assert {run: found[run] for run in ended} == {run: runs[run] for run in ended}
        assert checksums(fresh, ended) == files
        print(f"copy {number}: {len(found)} runs, {sum(steps.values())} points acknowledged before")
        for folder in fresh.iterdir():
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()

"""Whatever happens to a backup, the last good copy can be restored, and the Job says why it failed.

Takes minutes, and so is no part of `make test`: `make test LONG=1`.
"""

from __future__ import annotations

import dataclasses
import random
import shutil
import time
from pathlib import Path

import cdk8s
import pytest

from constructs_lib import KeyRef, S3Bucket
from constructs_lib.supervisor.staging import COPY, stage_copy
from tests.backup.conftest import Backup, make
from tests.backup.test_copying import snapshots
from tests.harness.restic import oldest
from tests.harness.s3 import KEYS, serving
from tests.harness.sandbox import disk, fill, own
from tests.supervisor.processes import client
from tests.supervisor.test_staging import read

SEED = 16
KILLS = 10


@pytest.fixture
def copied(seeded: Backup) -> Backup:
    """A backup with one good copy."""
    assert seeded.copy().code == 0
    return seeded


def assert_restored(backup: Backup, expected: dict[str, dict[str, object]]) -> None:
    """The newest copy brings all of some runs back, to a volume with nothing on it."""
    fresh = backup.others["fresh"]
    restored = dataclasses.replace(backup, runs=fresh).restore()
    assert restored.code == 0, restored.logs
    assert expected.items() <= read(fresh).items()
    for folder in fresh.iterdir():
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()


def test_killed_at_random_moments(copied: Backup) -> None:
    """Out of memory, an evicted pod, a node that is gone: the copy before is there, and the next one is made."""
    before, moments = read(copied.runs), random.Random(SEED)
    longest = measured(copied)
    killed = 0
    for number in range(KILLS):
        job = dataclasses.replace(copied.job(), host=f"killed-{number}")
        ended = job.run(kill_after=moments.uniform(0.05, longest))
        killed += ended.code != 0
        print(f"killed in {ended.container}, {ended.code}; {snapshots(copied)} copies")
        assert_restored(copied, before)
        unlock(copied)
    assert killed >= KILLS // 2
    client("write", copied.runs, "--runs", 1)
    own(*copied.runs.rglob("*"))
    again = copied.copy()
    assert again.code == 0, again.logs
    assert "no errors were found" in again.logs
    assert_restored(copied, read(copied.runs))


def measured(backup: Backup) -> float:
    """Seconds that a copy takes here."""
    begin = time.monotonic()
    assert backup.copy().code == 0
    return time.monotonic() - begin


def unlock(backup: Backup) -> None:
    """Remove the locks of the killed, as half an hour does."""
    for lock in (backup.copies / "aim/locks").iterdir():
        lock.unlink()


def test_a_target_that_is_full(seeded: Backup) -> None:
    """The last line says so, and the copy that there was is whole."""
    with disk(seeded.copies, "16m"):
        assert seeded.copy().code == 0
        before = read(seeded.runs)
        client("write", seeded.runs, "--runs", 2)
        own(*seeded.runs.rglob("*"))
        fill(seeded.copies / "filler")
        failed = seeded.copy()
        assert (failed.container, failed.code) == ("restic", 1)
        assert "no space left on device" in failed.logs
        assert_restored(seeded, before)
        (seeded.copies / "filler").unlink()
        unlock(seeded)
        again = seeded.copy()
        assert again.code == 0, again.logs
        assert_restored(seeded, read(seeded.runs))


@pytest.mark.parametrize("programs", [oldest], indirect=True)
def test_a_target_that_is_gone_and_comes_back(seeded: Backup, tmp_path: Path) -> None:
    """Nobody listens at the bucket's address any more: the Job fails with that, and the copies are there afterwards.

    Newer versions of restic ask again for a quarter of an hour, and a Job has a deadline.
    """
    before = read(seeded.runs)
    with serving(tmp_path / "s3", bucket="backups") as endpoint:
        backup = to_bucket(seeded, endpoint)
        assert backup.copy().code == 0
    port = int(endpoint.rpartition(":")[2])
    failed = backup.copy()
    assert (failed.container, failed.code) == ("restic", 1)
    assert "connection refused" in failed.last_line
    with serving(tmp_path / "s3", bucket="backups", port=port):
        assert_restored(backup, before)


def to_bucket(seeded: Backup, endpoint: str) -> Backup:
    """The same backup to a bucket."""
    access, secret = (KeyRef(name="s3", key=key) for key in KEYS)
    target = S3Bucket(endpoint=endpoint, bucket="backups", path_style=True, access_key=access, secret_key=secret)
    chart = cdk8s.Chart(cdk8s.App(), "bucket", namespace="ml")
    secrets = {**seeded.secrets, **{f"s3/{key}": text for key, text in KEYS.items()}}
    return dataclasses.replace(seeded, chart=chart, construct=make(chart, target=target), secrets=secrets)


def test_a_source_that_is_gone(copied: Backup) -> None:
    """Nothing of the repository is left, or the volume with a staged copy is emptied before restic has read it."""
    before = read(copied.runs)
    stage_copy(copied.runs)
    shutil.rmtree(copied.runs / COPY)
    with copied.job().started("restic") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode
    assert "can't cd to" in output or "No such file" in output
    shutil.rmtree(copied.runs / ".aim")
    failed = copied.copy()
    assert (failed.container, failed.code) == ("stage", 1)
    assert "is no Aim repository" in failed.last_line
    assert snapshots(copied) == 1
    assert_restored(copied, before)

"""Copies in a bucket of a real S3 server, and the way back when everything else is gone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cdk8s

from constructs_lib import KeyRef, S3Bucket
from tests.backup.conftest import Backup, make
from tests.harness.s3 import KEYS, serving
from tests.supervisor.test_staging import read

ACCESS, SECRET = (KeyRef(name="s3", key=key) for key in KEYS)


def test_everything_comes_back_from_a_bucket(seeded: Backup, tmp_path: Path) -> None:
    """Copied, checked and drilled; then the volume is lost, and an empty one gets all runs back."""
    before = read(seeded.runs)
    with serving(tmp_path / "s3", bucket="backups") as endpoint:
        target = S3Bucket(
            endpoint=endpoint,
            bucket="backups",
            prefix="north",
            region="us-east-1",
            path_style=True,
            access_key=ACCESS,
            secret_key=SECRET,
        )
        chart = cdk8s.Chart(cdk8s.App(), "bucket", namespace="ml")
        secrets = {**seeded.secrets, **{f"s3/{key}": text for key, text in KEYS.items()}}
        backup = dataclasses.replace(seeded, chart=chart, construct=make(chart, target=target), secrets=secrets)
        copied = backup.copy()
        assert copied.code == 0, copied.logs
        assert (tmp_path / "s3/backups/north/aim/config").exists()
        drilled = backup.job("aim-drill").run()
        assert drilled.code == 0, drilled.logs
        assert before
        refused = dataclasses.replace(backup, secrets={**secrets, "s3/secret": "wrong"}).job("aim-drill").run()
        assert (refused.container, refused.code) == ("restic", 1)
        restored = dataclasses.replace(backup, runs=backup.others["fresh"]).restore()
        assert restored.code == 0, restored.logs
    assert read(backup.others["fresh"]) == before

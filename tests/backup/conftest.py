"""Volumes with runs, and pods of backups on them."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import cdk8s
import pytest

from constructs_lib import (
    AimBackup,
    AimRestore,
    BackupOptions,
    BackupTarget,
    BackupVolume,
    ExistingClaim,
    KeyRef,
    Retention,
)
from tests.harness.building import dynamic
from tests.harness.jobs import Ended, Job
from tests.harness.manifest_rules import Manifest
from tests.harness.restic import newest
from tests.harness.sandbox import own
from tests.supervisor.processes import recorded

PASSWORD = KeyRef(name="backup", key="password")
BY_DEFAULT = Retention()
TO_CLAIM = BackupVolume(volume=ExistingClaim(name="copies"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backup:
    """A backup of a volume, whose pods are run by the rendered manifests and the real restic.

    Attributes:
        chart: of its manifests.
        construct: the backup.
        runs: the volume of runs.
        copies: the volume of copies.
        programs: a folder with restic.
        others: further volumes by the names of their claims.
        secrets: texts by `name/key`.
    """

    chart: cdk8s.Chart
    construct: AimBackup
    runs: Path
    copies: Path
    programs: Path
    others: dict[str, Path] = dataclasses.field(default_factory=dict)
    secrets: dict[str, str] = dataclasses.field(default_factory=lambda: {"backup/password": "correct horse"})

    def job(self, name: str = "aim-backup", *, kind: str = "CronJob", chart: cdk8s.Chart | None = None) -> Job:
        """One of its Jobs."""
        manifests: list[Manifest] = list(cdk8s.Testing.synth(chart or self.chart))
        volumes = {"aim-runs": self.runs, "copies": self.copies, **self.others}
        return Job(
            manifests=manifests, kind=kind, name=name, volumes=volumes, secrets=self.secrets, programs=self.programs
        )

    def copy(self, **options: Any) -> Ended:
        """Make a copy; the options are those of `Job.run`."""
        return self.job().run(**options)

    def restore(self, **options: str) -> Ended:
        """Bring a copy back."""
        return self.restoring(**options).run()

    def restoring(self, **options: str) -> Job:
        """The Job that brings a copy back."""
        app = cdk8s.App()
        chart = cdk8s.Chart(app, "restore", namespace=self.chart.namespace)
        backup = make(chart, target=self.construct.target)
        AimRestore(chart, "restore", backup=backup, **options)
        return self.job("aim-restore-", kind="Job", chart=chart)


def make(
    chart: cdk8s.Chart, *, target: BackupTarget = TO_CLAIM, percent: int = 100, keep: Retention = BY_DEFAULT
) -> AimBackup:
    """A backup of a dynamic volume; everything is read back each time, unless it is said otherwise."""
    options = BackupOptions(password=PASSWORD, check_percent=percent, keep=keep)
    return AimBackup(chart, "backup", storage=dynamic(chart), target=target, options=options)


@pytest.fixture
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with restic: of the default image, or of a function of `tests.harness.restic` that a test names."""
    folder = tmp_path / "programs"
    folder.mkdir()
    shutil.copy2(getattr(request, "param", newest)(), folder / "restic")
    return folder


@pytest.fixture
def backup(chart: cdk8s.Chart, volume: Path, programs: Path, tmp_path: Path) -> Backup:
    """A backup of an empty volume to a claim."""
    copies, fresh = tmp_path / "copies", tmp_path / "fresh"
    for folder in (copies, fresh):
        folder.mkdir()
    own(copies, fresh)
    return Backup(
        chart=chart, construct=make(chart), runs=volume, copies=copies, programs=programs, others={"fresh": fresh}
    )


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with three runs."""
    return recorded(tmp_path_factory.mktemp("store"), "--runs", 3)


@pytest.fixture
def seeded(backup: Backup, store: Path) -> Backup:
    """A backup of a copy of that repository."""
    shutil.copytree(store, backup.runs, dirs_exist_ok=True)
    own(*backup.runs.rglob("*"))
    return backup

"""Volumes with runs, and pods of chores on them."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import cdk8s
import pytest
import yaml

from constructs_lib import AimMaintenance
from tests.harness.building import dynamic
from tests.harness.jobs import Ended, Job
from tests.harness.manifest_rules import Manifest, pod_template
from tests.harness.sandbox import own
from tests.supervisor.processes import recorded

ROOT = Path(__file__).resolve().parents[2]
SERVER = list(yaml.safe_load_all((ROOT / "dist/aim.k8s.yaml").read_text(encoding="utf-8")))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chores:
    """Chores on a volume, whose pods are run by the rendered manifests.

    Attributes:
        manifests: of the chores.
        runs: the volume.
    """

    manifests: list[Manifest]
    runs: Path

    def do(self, chore: str, *, apply: bool = False, run: str = "", older_than: int | None = None) -> Ended:
        """Do a chore.

        Args:
            chore: name of the chore.
            apply: whether it is told to do it, by the variable APPLY.
            run: hashes of runs, by the variable RUN.
            older_than: seconds in the place of what the options say.
        """
        (job,) = [m for m in self.manifests if m["kind"] == "CronJob" and m["metadata"]["name"] == f"aim-{chore}"]
        (container,) = (pod_template(job) or {})["spec"]["containers"]
        former = list(container["command"])
        container["env"] = [{"name": "APPLY", "value": "yes"}] * apply + [{"name": "RUN", "value": run}] * bool(run)
        if older_than is not None:
            container["command"] = [*former, "--older-than", str(older_than)]
        try:
            name = job["metadata"]["name"]
            return Job(manifests=self.manifests, name=name, volumes={"aim-runs": self.runs}).run()
        finally:
            container["command"] = former

    @property
    def repository(self) -> Path:
        """The folder `.aim`."""
        return self.runs / ".aim"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with three runs."""
    return recorded(tmp_path_factory.mktemp("store"), "--runs", 3)


@pytest.fixture
def chores(chart: cdk8s.Chart, volume: Path, store: Path) -> Chores:
    """Chores on a copy of that repository."""
    AimMaintenance(chart, "chores", storage=dynamic(chart))
    shutil.copytree(store, volume, dirs_exist_ok=True)
    own(*volume.rglob("*"))
    return Chores(manifests=list(cdk8s.Testing.synth(chart)), runs=volume)

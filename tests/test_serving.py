"""The command of the committed manifests, as it stands, with the real Aim."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.manifest_rules import Manifest, pod_template
from tests.sandbox import running

DIST = Path(__file__).resolve().parents[1] / "dist/aim.k8s.yaml"


@pytest.fixture
def manifests() -> list[Manifest]:
    """The committed manifests."""
    return list(yaml.safe_load_all(DIST.read_text(encoding="utf-8")))


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """An empty volume that belongs to the storage's default owner."""
    folder = tmp_path / "volume"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 10001, 10001)
    return folder


def test_an_empty_volume_is_served_and_answers_every_probe(manifests: list[Manifest], volume: Path) -> None:
    """The probes' own paths answer 200, on a root that cannot be written to and as the pod's user."""
    (pod,) = [template["spec"] for manifest in manifests if (template := pod_template(manifest))]
    with running(manifests, volume) as aim:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            aim.await_ready(pod["containers"][0][probe]["httpGet"]["path"])
        assert (volume / ".aim/VERSION").exists()
        assert aim.get("/api/projects/params") is not None
        code, seconds = aim.stop()
        print(code, seconds, aim.logs)

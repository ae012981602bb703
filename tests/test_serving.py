"""The command of the committed manifests, as it stands, with the real Aim."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifest_rules import pod_template
from tests.sandbox import running

DIST = Path(__file__).resolve().parents[1] / "dist/aim.k8s.yaml"


@pytest.fixture
def pod() -> dict[str, Any]:
    """The pod of the committed manifests."""
    manifests = yaml.safe_load_all(DIST.read_text(encoding="utf-8"))
    (template,) = [template for manifest in manifests if (template := pod_template(manifest))]
    return template["spec"]  # type: ignore[no-any-return]


@pytest.fixture
def volume(tmp_path: Path, pod: dict[str, Any]) -> Path:
    """An empty volume that belongs to the storage's owner."""
    folder = tmp_path / "volume"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"])
    return folder


def test_an_empty_volume_is_served_and_answers_every_probe(pod: dict[str, Any], volume: Path) -> None:
    """The probes' own paths answer 200, on a root that cannot be written to and as the pod's user."""
    with running(pod, volume) as aim:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            aim.await_ready(pod["containers"][0][probe]["httpGet"]["path"])
        assert (volume / ".aim/VERSION").exists()
        assert aim.get("/api/projects/params") is not None

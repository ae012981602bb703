"""What a deployed instance meets when its manifests are made by a later version: those of each release are kept.

`tests/releases/` has a folder a release, which `make release` writes; 0.1.0 is 53ba302, the first version that landed.
CONTRIBUTING.md says what a release may break.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from app.changes.differences import differences
from app.changes.manifests import Objects, objects_in
from app.changes.warnings import warnings
from app.errors import InputError
from app.instances.reading import read_instances
from app.synthesis import write_instances
from constructs_lib import __version__
from release.api import broken, interface
from release.kept import API

ROOT = Path(__file__).resolve().parents[2]
RELEASES = sorted((ROOT / "tests/releases").iterdir())
FILES = [file for release in RELEASES for file in sorted(release.glob("*.yaml")) if ".k8s" not in file.name]
FILES = [file for file in FILES if file.name != API]

BROKEN: dict[str, tuple[str, str, str]] = {
    "0.1.0/host-path": ("storage.hostPath.node: missing; write it", "path: /srv/aim", "path: /srv/aim, node: node-1"),
}
"""Instance files that are refused since: what is said, and what of them is to be replaced by what."""

NEVER_CHANGES = {
    "PersistentVolumeClaim": ("spec",),
    "PersistentVolume": (
        "spec.nfs",
        "spec.csi",
        "spec.hostPath",
        "spec.claimRef",
        "spec.persistentVolumeReclaimPolicy",
    ),
    "Deployment": ("spec.selector", "spec.strategy", "spec.replicas"),
    "Service": ("spec.selector",),
    "NetworkPolicy": ("spec.podSelector",),
    "Namespace": (),
}
"""Kinds whose objects keep their names, and fields of theirs."""


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """Manifests of one instance file, by a release and by today's version."""

    before: Objects
    after: Objects


def id_of(file: Path) -> str:
    """Release and instance."""
    return f"{file.parent.name}/{file.stem}"


@pytest.fixture(scope="module", params=FILES, ids=id_of)
def upgrade(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Upgrade:
    """Each instance file of each release, with the change that today's version asks for, if any."""
    file, tmp_path = request.param, tmp_path_factory.mktemp("upgrade")
    _, old, new = BROKEN.get(id_of(file), ("", "", ""))
    source = tmp_path / file.name
    source.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    write_instances(read_instances(source), tmp_path / "after")
    (written,) = (tmp_path / "after").rglob("*.k8s.yaml")
    kept = tmp_path / "before" / written.relative_to(tmp_path / "after")
    kept.parent.mkdir(parents=True)
    shutil.copy(file.with_suffix(".k8s.yaml"), kept)
    return Upgrade(before=objects_in(tmp_path / "before"), after=objects_in(tmp_path / "after"))


def grave(before: Objects, after: Objects) -> list[str]:
    """What cannot be applied, loses sight of runs, or lets somebody in."""
    found = differences(before, after)
    return [f"{each.key}: {notice.text}" for each in found for notice in warnings(each, found) if notice.grave]


def test_an_upgrade_is_applied_and_loses_nothing(upgrade: Upgrade) -> None:
    """`kubectl apply` of today's manifests over those of the release is accepted, and no warning goes with it."""
    assert upgrade.before
    assert grave(upgrade.before, upgrade.after) == []


def test_the_way_back_is_applied_too(upgrade: Upgrade, request: pytest.FixtureRequest) -> None:
    """A revert in Git; but where a file had to be changed, the API server may refuse what it was."""
    if request.node.callspec.id not in BROKEN:
        assert grave(upgrade.after, upgrade.before) == []


def test_names_claims_volumes_and_selectors_stay(upgrade: Upgrade) -> None:
    """Another name is a second server or an empty volume, another selector finds no pod of the version before."""
    kept = {key: manifest for key, manifest in upgrade.before.items() if key.kind in NEVER_CHANGES}
    assert kept.keys() <= upgrade.after.keys()
    for key, manifest in kept.items():
        for path in NEVER_CHANGES[key.kind]:
            assert at(path, upgrade.after[key]) == at(path, manifest), f"{key}: {path}"


def at(path: str, manifest: Any) -> Any:
    """A field of a manifest; None where there is none."""
    for part in path.split("."):
        manifest = (manifest or {}).get(part)
    return manifest


@pytest.mark.parametrize("name", BROKEN)
def test_an_instance_file_that_is_refused_since_says_what_to_write(name: str) -> None:
    """So does the changelog."""
    said = BROKEN[name][0]
    with pytest.raises(InputError, match=re.escape(said)):
        read_instances(ROOT / f"tests/releases/{name}.yaml")
    assert f"`{said.partition(':')[0].rpartition('.')[0]}`" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def line(version: str) -> list[str]:
    """Versions within which nothing breaks: those of a major version, and before 1.0 those of a minor one."""
    major, minor, *_ = version.split(".")
    return [major] if major != "0" else [major, minor]


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_charts_of_others_go_on_within_a_line_of_versions(release: Path) -> None:
    """Names of the library and parameters are added, and none goes or becomes required."""
    if line(release.name) == line(__version__):
        kept = YAML(typ="safe").load(release / API)
        assert broken(kept, interface()) == []


def test_a_break_of_the_interface_is_told() -> None:
    """Names and parameters that go, and parameters that have to be given."""
    before = {"a": ["x", "y="], "b": [], "c": ["z"]}
    after = {"a": ["x", "y", "v"], "c": ["z", "w="]}
    assert broken(before, after) == ["b is gone", "a: y is required", "a: v is required"]
    assert {"AimServer", "AimServer.add_tracking"} <= interface().keys()
    assert {"scope", "id", "storage", "name="} <= set(interface()["AimServer"])

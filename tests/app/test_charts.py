"""From the file to the manifests: no key is forgotten on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cdk8s
import yaml
from syrupy.assertion import SnapshotAssertion

from app.instances.chart import add_instance
from app.instances.reading import read_instances
from app.instances.schema import schema

INSTANCES = Path(__file__).resolve().parents[1] / "instances"


def chart_of(tree: cdk8s.App, name: str) -> cdk8s.Chart:
    """The chart of an instance file of the tests."""
    (source,) = read_instances(INSTANCES / f"{name}.yaml")
    return add_instance(tree, source)


def test_everything(tree: cdk8s.App, manifests: SnapshotAssertion) -> None:
    """Every key reaches the manifests."""
    assert chart_of(tree, "everything") == manifests


def test_csi(tree: cdk8s.App, manifests: SnapshotAssertion) -> None:
    """Every key of a CSI volume reaches the manifests."""
    assert chart_of(tree, "csi") == manifests


def test_host_path(tree: cdk8s.App, manifests: SnapshotAssertion) -> None:
    """A host path is one, and a cluster that assigns users is left to."""
    assert chart_of(tree, "host-path") == manifests


def test_existing_claim(tree: cdk8s.App, manifests: SnapshotAssertion) -> None:
    """A claim of others is mounted, not made."""
    assert chart_of(tree, "existing-claim") == manifests


def test_dynamic(tree: cdk8s.App, manifests: SnapshotAssertion) -> None:
    """A dynamic volume is one, and empty keys mean their defaults."""
    assert chart_of(tree, "dynamic") == manifests


def keys(content: object) -> Iterator[str]:
    """Every key of a mapping, at any depth."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield key
            yield from keys(value)
    for entry in content if isinstance(content, list) else []:
        yield from keys(entry)


def properties(node: object) -> Iterator[str]:
    """Every key that a schema knows."""
    if isinstance(node, dict):
        yield from node.get("properties", {})
        for value in node.values():
            yield from properties(value)
    for entry in node if isinstance(node, list) else []:
        yield from properties(entry)


def test_every_key_of_the_file_is_in_these_tests() -> None:
    """A key that is added to the file is added here, or its way to the manifests is untested."""
    used = {key for file in INSTANCES.glob("*.yaml") for key in keys(yaml.safe_load(file.read_text(encoding="utf-8")))}
    assert set(properties(yaml.safe_load(schema()))) - used == set()

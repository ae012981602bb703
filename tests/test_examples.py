"""Every example is a whole: it renders, and is what its snapshot says, which is what a user gets."""

from __future__ import annotations

from pathlib import Path

import cdk8s
import pytest
from syrupy.assertion import SnapshotAssertion

from app.instances.chart import add_instance
from app.instances.reading import read_instances
from examples import distributed, existing_claim, remote_tracking, report, shared_volume
from tests.harness.manifest_rules import pod_template
from tests.harness.pod_security import violations


def assert_admitted(chart: cdk8s.Chart) -> None:
    """A namespace of ours enforces Pod Security "restricted"."""
    pods = [template["spec"] for manifest in cdk8s.Testing.synth(chart) if (template := pod_template(manifest))]
    assert pods
    assert [list(violations(pod)) for pod in pods] == [[]] * len(pods)


def test_shared_volume(tree: cdk8s.App, manifests: SnapshotAssertion) -> None:
    """A Job records over the volume of the server."""
    chart = shared_volume.add(tree)
    assert_admitted(chart)
    assert chart == manifests


def test_remote_tracking(tree: cdk8s.App, manifests: SnapshotAssertion) -> None:
    """A server has a block volume for itself, and admits training of another namespace."""
    chart, _ = remote_tracking.add(tree)
    assert_admitted(chart)
    assert chart == manifests


def test_remote_tracking_training(tree: cdk8s.App, manifests: SnapshotAssertion) -> None:
    """A Job of another namespace records over the network, as whoever it likes."""
    _, training = remote_tracking.add(tree)
    assert_admitted(training)
    assert training == manifests


def test_distributed(tree: cdk8s.App, manifests: SnapshotAssertion) -> None:
    """Several pods of one Job record at once."""
    chart = distributed.add(tree)
    assert_admitted(chart)
    assert chart == manifests


def test_report(tree: cdk8s.App, manifests: SnapshotAssertion) -> None:
    """A CronJob reads on the node of the server."""
    chart = report.add(tree)
    assert_admitted(chart)
    assert chart == manifests


def test_claim_of_others(tree: cdk8s.App, manifests: SnapshotAssertion) -> None:
    """A Deployment of another project records into a claim that it did not make."""
    chart = existing_claim.add(tree)
    assert_admitted(chart)
    assert chart == manifests


@pytest.mark.parametrize("name", ["team", "passwords"])
def test_instances(tree: cdk8s.App, manifests: SnapshotAssertion, name: str) -> None:
    """An instance file puts a server behind a login: of a provider on an Ingress, and of passwords."""
    (source,) = read_instances(Path(__file__).parents[1] / f"examples/{name}.yaml")
    chart = add_instance(tree, source)
    assert_admitted(chart)
    assert chart == manifests

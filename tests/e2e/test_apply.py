"""What the API server says to the manifests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from app.changes.__main__ import main
from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance
from tests.e2e.kube import Manifest
from tests.harness.sandbox import skip

SNAPSHOTS = sorted((kube.ROOT / "tests").rglob("__snapshots__/**/*.yaml"))
VARIANTS: dict[str, Manifest] = {
    "node-port": {"service": {"type": "NodePort"}, "allowAnonymous": True},
    "load-balancer": {"service": {"type": "LoadBalancer"}, "allowAnonymous": True},
    "tracking": {"tracking": {}},
    "image": {"supervisor": "Image"},
}
"""Servers of which the snapshots have the difference to the default only."""

CUSTOM = {"gateway.networking.k8s.io/v1", "monitoring.coreos.com/v1"}
"""Kinds of the Gateway API and of Prometheus' operator, which a new cluster does not know."""


@pytest.mark.smoke
def test_a_second_apply_changes_nothing(namespace: str, folder: Path, volumes: Volumes) -> None:
    """Everything is created without a warning in a namespace that enforces "restricted"; then nothing is different."""
    dist = kube.synthesized(folder, aim=instance(namespace, volumes.host_path(namespace)))
    first = kube.kubectl("apply", "-f", dist)
    assert all(line.endswith(" created") for line in first.splitlines()), first
    kube.ready(namespace)
    kube.assert_unchanged(dist)
    assert kube.kubectl("diff", "-f", dist) == ""
    labels = kube.found("namespace", namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.smoke
def test_the_committed_manifests_are_taken(folder: Path) -> None:
    """`dist/` as it is in the repository creates everything in its own namespace, and again changes nothing."""
    text = (kube.ROOT / "dist/aim.k8s.yaml").read_text(encoding="utf-8")
    with kube.namespaces() as (name,):
        dist = folder / "dist.yaml"
        dist.write_text(renamed(text, name), encoding="utf-8")
        created = kube.kubectl("apply", "-f", dist)
        assert all(line.endswith(" created") for line in created.splitlines()), created
        kube.assert_unchanged(dist)


def renamed(text: str, namespace: str) -> str:
    """Manifests of the namespace `aim`, moved into another, so that nothing else in the cluster is touched."""
    manifests = list(yaml.safe_load_all(text))
    for manifest in manifests:
        metadata = manifest["metadata"]
        if manifest["kind"] == "Namespace":
            metadata["name"] = namespace
        elif manifest["kind"] == "PersistentVolume":
            metadata["name"] = metadata["name"].replace("aim.", f"{namespace}.", 1)
            manifest["spec"]["claimRef"]["namespace"] = namespace
        else:
            metadata["namespace"] = namespace
        if manifest["kind"] == "PersistentVolumeClaim":
            manifest["spec"]["volumeName"] = f"{namespace}.aim-runs"
        if manifest["kind"] == "Deployment":
            manifest["spec"]["replicas"] = 0  # no pod that looks for the guide's address
    return yaml.safe_dump_all(manifests)


@pytest.mark.parametrize("server", ["KUBECONFIG", "KUBECONFIG_OLDEST"])
def test_every_manifest_is_valid_to_the_letter(server: str, folder: Path) -> None:
    """A dry run on the server, with strict validation, accepts every object of every whole snapshot and variant."""
    config = os.environ.get(server)
    if not config:
        skip(f"no {server}: `make cluster` starts an API server of the oldest version too")
    variants = {name: instance(name, {"size": "1Gi", "dynamic": {}}, **options) for name, options in VARIANTS.items()}
    files = [*SNAPSHOTS, *kube.synthesized(folder, **variants).glob("*.yaml")]
    assert len(files) > 30
    with kube.namespaces() as (name,):
        at = ["--kubeconfig", config]
        try:
            kube.kubectl(*at, "create", "namespace", name)
            # pods are refused until it is there, and the controller manager makes it a moment later, or is not there
            kube.kubectl(*at, "create", "serviceaccount", "default", "-n", name, check=False)
            refused = {path.name: problem for path in files if (problem := _refused(path, name, config))}
            assert refused == {}
        finally:
            kube.kubectl(*at, "delete", "namespace", name, "--ignore-not-found", "--wait=false")


def _refused(path: Path, namespace: str, config: str) -> str:
    """What the server has against manifests, put into a namespace that is there."""
    loaded = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    manifests = [each for each in loaded if each["apiVersion"] not in CUSTOM]
    for manifest in manifests:
        if "namespace" in manifest["metadata"]:
            manifest["metadata"]["namespace"] = namespace
    command = [
        "kubectl",
        "--kubeconfig",
        config,
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        "-",
    ]
    text = yaml.safe_dump_all(manifests)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return f"{done.returncode} {done.stderr}" if done.returncode or done.stderr else ""


def test_a_change_is_told_against_the_cluster_before_it_is_applied(
    namespace: str, folder: Path, volumes: Volumes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make diff AGAINST=cluster`: nothing after an apply, then the change and what the API server would refuse."""
    manifest = instance(namespace, volumes.host_path(namespace))
    kube.kubectl("apply", "-f", kube.synthesized(folder, aim=manifest))
    monkeypatch.setattr("sys.argv", ["make diff", "--against", "cluster"])
    for storage, code, said in (("1Gi", 0, "no change"), ("1Mi", 3, "a claim cannot shrink")):
        (folder / "aim.yaml").write_text(yaml.safe_dump(manifest).replace("1Gi", storage), encoding="utf-8")
        monkeypatch.setenv("INSTANCES", str(folder / "aim.yaml"))
        assert main() == code
        assert said in capsys.readouterr().out

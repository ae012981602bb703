"""Every YAML block of the documentation is taken by what reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cdk8s
import kubernetes_validate
import pytest
import yaml

from app.argocd.settings import Settings, read_settings
from app.errors import InputError
from app.instances.chart import add_instance
from app.instances.model import Instance
from app.instances.reading import read_instances
from app.models import keys_of
from tests.docs.blocks import Block, blocks

BESIDE: dict[str, Any] = {"namespace": "aim", "storage": {"size": "10Gi", "dynamic": {}}}
"""What a block that shows a part of an instance file leaves out."""

ELSEWHERE = {
    "GitRepository": "applied to a cluster with Flux by tests/e2e/test_flux.py",
    "Kustomization": "the same",
    "VolumeSnapshot": "applied to a cluster by tests/e2e/test_backup.py",
}
"""Kinds without a schema here, and what proves them."""


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_a_block_of_yaml_is_valid(block: Block, tmp_path: Path) -> None:
    """An instance file, or a part of one, renders; a manifest fits its schema; `argocd.yaml` is read."""
    for content in yaml.safe_load_all(block.text):
        if content.keys() == {"spec"}:
            content |= {"apiVersion": "v1", "kind": "Pod"}
        if "kind" in content:
            assert_manifest(content)
        elif content.keys() <= keys_of(Settings).keys():
            (tmp_path / "argocd.yaml").write_text(block.text, encoding="utf-8")
            read_settings(tmp_path / "argocd.yaml")
        else:
            assert content.keys() <= keys_of(Instance).keys()
            assert_instance(content, tmp_path)


def assert_manifest(manifest: dict[str, Any]) -> None:
    """The oldest and the newest Kubernetes know all of its fields."""
    if manifest["kind"] not in ELSEWHERE:
        for version in ("1.27", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(manifest, version, strict=True)


def assert_instance(content: dict[str, Any], folder: Path) -> None:
    """It can be synthesized; but a part that shows an Ingress need not say who may come in by it."""
    server = content.get("server", {})
    if {"ingress", "route"} & server.keys() and "login" not in server:
        content["server"] = {"allowAnonymous": True, **server}
    (folder / "aim.yaml").write_text(yaml.safe_dump({**BESIDE, **content}), encoding="utf-8")
    (source,) = read_instances(folder / "aim.yaml")
    cdk8s.Testing.synth(add_instance(cdk8s.App(outdir=str(folder)), source))


def test_a_key_that_is_none_is_found(tmp_path: Path) -> None:
    """The check of the blocks can fail."""
    with pytest.raises(InputError, match="workrs"):
        assert_instance({"server": {"workrs": 2}}, tmp_path)

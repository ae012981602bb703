"""The custom resources of snapshots, from their Go module; a driver that takes snapshots cannot be had from one."""

from __future__ import annotations

from pathlib import Path

from tests.e2e import controllers

_MODULE = "github.com/kubernetes-csi/external-snapshotter/client/v8"


def definitions() -> list[Path]:
    """Files with the definitions."""
    return controllers.files(Path(__file__).parent, _MODULE, "config/crd/snapshot.storage.k8s.io_*.yaml")

"""The shortest storage to build a test on, and what a chart renders."""

from __future__ import annotations

from typing import Any

import cdk8s

from constructs_lib import AimStorage, DynamicVolume, NfsExport, StorageSource

NFS = NfsExport(server="nfs.example.com", path="/exports/aim")


def storage(chart: cdk8s.Chart, *, source: StorageSource = NFS, size: str | None = "1Ti", **options: Any) -> AimStorage:
    """A storage, on an NFS export unless the options say otherwise."""
    return AimStorage(chart, "storage", source=source, size=size, **options)


def dynamic(chart: cdk8s.Chart, **options: Any) -> AimStorage:
    """The storage that shows least beside a server."""
    return storage(chart, source=DynamicVolume(), size="10Gi", **options)


def rendered(chart: cdk8s.Chart, kind: str) -> Any:
    """The one object of a kind that a chart renders."""
    (found,) = [manifest for manifest in cdk8s.Testing.synth(chart) if manifest["kind"] == kind]
    return found

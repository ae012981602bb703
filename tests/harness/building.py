"""The shortest storage to build a test on, and what a chart renders."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import cdk8s
from constructs import Construct

from constructs_lib import (
    AimServer,
    AimStorage,
    DynamicVolume,
    ImageOptions,
    NfsExport,
    ServerOptions,
    StorageOptions,
    StorageSource,
)

NFS = NfsExport(server="nfs.example.com", path="/exports/aim")

_IMAGE = {field.name for field in fields(ImageOptions)}


def aim_storage(scope: Construct, id: str, *, source: StorageSource, name: str = "aim", **options: Any) -> AimStorage:
    """A storage, its options as keywords."""
    return AimStorage(scope, id, source=source, name=name, options=StorageOptions(**options))


def aim_server(scope: Construct, id: str, *, storage: AimStorage, **options: Any) -> AimServer:
    """A server, its options as keywords."""
    image = ImageOptions(**{name: options.pop(name) for name in _IMAGE & options.keys()})
    name = options.pop("name", None)
    return AimServer(scope, id, storage=storage, name=name, image=image, options=ServerOptions(**options))


def storage(chart: cdk8s.Chart, *, source: StorageSource = NFS, size: str | None = "1Ti", **options: Any) -> AimStorage:
    """A storage, on an NFS export unless the options say otherwise."""
    return aim_storage(chart, "storage", source=source, size=size, **options)


def dynamic(chart: cdk8s.Chart, **options: Any) -> AimStorage:
    """The storage that shows least beside a server."""
    return storage(chart, source=DynamicVolume(), size="10Gi", **options)


def serve(chart: cdk8s.Chart, **options: Any) -> AimServer:
    """A server on a dynamic volume."""
    return aim_server(chart, "server", storage=dynamic(chart), **options)


def rendered(chart: cdk8s.Chart, kind: str) -> Any:
    """The one object of a kind that a chart renders."""
    (found,) = [manifest for manifest in cdk8s.Testing.synth(chart) if manifest["kind"] == kind]
    return found

"""Argo CD's Applications: one for each instance, and the root that creates and removes them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import cdk8s
from constructs import Construct

from app.argocd.settings import Settings
from app.errors import InputError
from app.instances.reading import Source
from app.output import APPLICATIONS
from imports.io import argoproj as argo

ROOT = "root"
"""Id of the root's chart, and name of its file."""

ROOT_FILE = Path(APPLICATIONS, f"{ROOT}.k8s.yaml")
"""The root's, below the output."""

_FINALIZER = "resources-finalizer.argocd.argoproj.io"
"""Deleting the Application deletes what it made, but for what says `Delete=false`: storage and namespace."""

_HERE = "https://kubernetes.default.svc"
"""The cluster that Argo CD is in."""

_WRITTEN_BY_CONTROLLERS = [
    argo.ApplicationSpecIgnoreDifferences(
        kind="PersistentVolume", json_pointers=["/spec/claimRef/uid", "/spec/claimRef/resourceVersion"]
    ),
    argo.ApplicationSpecIgnoreDifferences(kind="PersistentVolumeClaim", json_pointers=["/spec/volumeName"]),
]

_RETRY = argo.ApplicationSpecSyncPolicyRetry(
    limit=10, backoff=argo.ApplicationSpecSyncPolicyRetryBackoff(duration="5s", factor=2, max_duration="3m")
)


def add_applications(app: cdk8s.App, sources: list[Source], settings: Settings) -> None:
    """Add a chart for each instance's Application, and the one of the root.

    Raises:
        InputError: names that an Application and something else would share.
    """
    _check_names(sources, settings)
    for source in sources:
        _add_instance(_chart(app, source.stem, settings), source, settings)
    _add_root(_chart(app, ROOT, settings), settings)


def _check_names(sources: list[Source], settings: Settings) -> None:
    named: dict[str, Path] = {settings.name: Path("the root")}
    for source in sources:
        if source.stem == ROOT:
            raise InputError(f"{source.path}: rename the file: the root Application's is called so")
        name = application_name(source)
        other = named.setdefault(name, source.path)
        if other != source.path:
            remedy = f"its Application would be called as that of {other}; change one of their names"
            raise InputError(f"{source.path}: name: {name!r}: {remedy}")
    for source in sources:
        if source.name in named:
            # Argo CD that tracks by label takes what says so in app.kubernetes.io/instance for that Application's own
            remedy = "an Application has this name, and could delete the instance's server; choose another one"
            raise InputError(f"{source.path}: name: {source.name!r}: {remedy}")


def file_of(source: Source) -> Path:
    """The file of an instance's Application, below the output: named as that of its manifests."""
    return Path(APPLICATIONS, source.file.name)


def application_name(source: Source) -> str:
    """`<namespace>-<name>`, with the cluster before where there is one."""
    cluster = [source.instance.cluster] if source.instance.cluster else []
    return "-".join([*cluster, source.instance.namespace, source.name])


def _chart(app: cdk8s.App, id: str, settings: Settings) -> cdk8s.Chart:
    return cdk8s.Chart(app, id, namespace=settings.namespace, disable_resource_name_hashes=True)


def _add_instance(chart: Construct, source: Source, settings: Settings) -> None:
    instance = source.instance
    finalizers = [_FINALIZER] if settings.finalizer else None
    here = None if instance.cluster else _HERE
    argo.Application(
        chart,
        "application",
        metadata=cdk8s.ApiObjectMetadata(name=application_name(source), finalizers=finalizers),
        spec=argo.ApplicationSpec(
            project=settings.project,
            destination=argo.ApplicationSpecDestination(
                server=here, name=instance.cluster, namespace=instance.namespace
            ),
            source=_source(settings, source.file.parent, include=source.file.name),
            sync_policy=_sync_policy(settings),
            ignore_differences=_WRITTEN_BY_CONTROLLERS,
        ),
    )


def _add_root(chart: Construct, settings: Settings) -> None:
    argo.Application(
        chart,
        "application",
        # without the finalizer: deleting the root leaves the instances alone
        metadata=cdk8s.ApiObjectMetadata(name=settings.name),
        spec=argo.ApplicationSpec(
            project=settings.project,
            destination=argo.ApplicationSpecDestination(server=_HERE, namespace=settings.namespace),
            source=_source(settings, ROOT_FILE.parent, exclude=ROOT_FILE.name),
            sync_policy=_sync_policy(settings),
        ),
    )


def _source(
    settings: Settings, folder: Path, *, include: str | None = None, exclude: str | None = None
) -> argo.ApplicationSpecSource:
    return argo.ApplicationSpecSource(
        repo_url=settings.repository,
        target_revision=settings.revision,
        path=str(PurePosixPath(settings.path, folder)),
        directory=argo.ApplicationSpecSourceDirectory(include=include, exclude=exclude),
    )


def _sync_policy(settings: Settings) -> argo.ApplicationSpecSyncPolicy:
    return argo.ApplicationSpecSyncPolicy(
        automated=argo.ApplicationSpecSyncPolicyAutomated(prune=True, self_heal=settings.self_heal),
        sync_options=["ServerSideApply=true"],
        retry=_RETRY,
    )

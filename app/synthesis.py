"""Instance files in, manifests out."""

from __future__ import annotations

import os
import sys
from itertools import groupby
from pathlib import Path

import cdk8s

from app.errors import InputError
from app.instances.chart import add_instance
from app.instances.reading import Source, read_instances
from app.output import APPLICATIONS, SETTINGS, publish, staged

GUIDE_ADDRESS = "123.12.123.12"
"""NFS server of the example in Aim's own guide."""


def synth(instances: Path, outdir: Path) -> list[Path]:
    """Write the manifests of an instance file, or of a folder of them; and Argo CD's, where there are settings.

    Args:
        instances: an instance file, or a folder of them.
        outdir: where the manifests belong; `argocd.yaml` beside it has the settings of Argo CD.

    Returns:
        The files written.

    Raises:
        InputError: something in the files cannot work; nothing has been written.
    """
    sources = read_instances(instances)
    for source in sources:
        _warn(source)
    made = {source.file: source.path for source in sources}
    settings = Path(os.path.relpath(outdir.resolve().parent / SETTINGS))
    with staged(outdir) as staging:
        notes = write_instances(sources, staging)
        if settings.exists():
            made |= _synth_applications(sources, settings, staging)
        written = publish(staging, outdir, made)
    for path, lines in notes.items():
        print("".join(f"{path}: {line}\n" for line in lines), end="", file=sys.stderr)
    return written


def write_instances(sources: list[Source], staging: Path) -> dict[Path, tuple[str, ...]]:
    """Write the manifests of every instance, those of each cluster in its folder.

    Returns:
        By instance file, the lines to print about the instance.

    Raises:
        InputError: a value that cannot work, or two instances with one store.
    """
    served: dict[str, Source] = {}
    notes = {}
    for cluster, here in groupby(sorted(sources, key=_cluster), key=_cluster):
        tree = cdk8s.App(outdir=str(staging / cluster))
        for source in here:
            chart = add_instance(tree, source)
            notes[source.path] = chart.notes
            for export in chart.exports:
                _check_alone(source, served.setdefault(export, source), export)
        tree.synth()
    return notes


def _synth_applications(sources: list[Source], settings: Path, staging: Path) -> dict[Path, Path]:
    """Write Argo CD's Applications; returns what each of them was made from."""
    # imported here, as most of a run without Argo CD would be the import of its types
    from app.argocd import applications  # noqa: PLC0415
    from app.argocd.settings import EXAMPLE, read_settings  # noqa: PLC0415

    tree, read = cdk8s.App(outdir=str(staging / APPLICATIONS)), read_settings(settings)
    if EXAMPLE in read.repository:
        hint = "an example; set your own before Argo CD follows it"
        print(f"{settings}: repository: {read.repository!r}: {hint}", file=sys.stderr)
    applications.add_applications(tree, sources, read)
    tree.synth()
    return {applications.file_of(source): source.path for source in sources} | {applications.ROOT_FILE: settings}


def _check_alone(source: Source, other: Source, export: str) -> None:
    """Reject a second server on a store: within a cluster the constructs do, but they see one cluster only."""
    if other is not source:
        message = f"storage: {export!r}: choose another one: {other.path} serves it in cluster {_cluster(other)}"
        raise InputError(f"{source.path}: {message}")


def _cluster(source: Source) -> str:
    return source.instance.cluster or ""


def _warn(source: Source) -> None:
    nfs = source.instance.storage.nfs
    if nfs and nfs.server == GUIDE_ADDRESS:
        hint = "the example address of Aim's guide; set your own before the first apply"
        print(f"{source.path}: storage.nfs.server: {nfs.server!r}: {hint}", file=sys.stderr)

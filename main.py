"""Instance files in, manifests out: `python main.py`, `cdk8s synth`, or `make synth`."""

import os
import sys
from itertools import groupby
from pathlib import Path

from app import argocd, cdk8s
from app.charts import add_instance
from app.errors import InputError
from app.output import SETTINGS, publish, staged
from app.reading import Source, read_instances
from app.settings import EXAMPLE, read_settings

GUIDE_ADDRESS = "123.12.123.12"

HERE = Path(__file__).resolve().parent


def synth(instances: Path, outdir: Path) -> None:
    """Write the manifests of an instance file, or of a folder of them; and Argo CD's, where there are settings."""
    sources = read_instances(instances)
    for source in sources:
        _warn(source)
    made = {source.file: source.path for source in sources}
    settings = Path(os.path.relpath(outdir.resolve().parent / SETTINGS))
    with staged(outdir) as staging:
        _synth_instances(sources, staging)
        if settings.exists():
            made |= _synth_applications(sources, settings, staging)
        files = publish(staging, outdir, made)
    for file in files:
        print(os.path.relpath(file))


def _synth_instances(sources: list[Source], staging: Path) -> None:
    """Write the manifests of every instance, those of each cluster in its folder."""
    served: dict[str, Source] = {}
    for cluster, here in groupby(sorted(sources, key=_cluster), key=_cluster):
        tree = cdk8s.App(outdir=str(staging / cluster))
        for source in here:
            for export in add_instance(tree, source).exports:
                _check_alone(source, served.setdefault(export, source), export)
        tree.synth()


def _synth_applications(sources: list[Source], settings: Path, staging: Path) -> dict[Path, Path]:
    """Write Argo CD's Applications; what each of them was made from."""
    tree, read = cdk8s.App(outdir=str(staging / argocd.FOLDER)), read_settings(settings)
    if EXAMPLE in read.repository:
        hint = "an example; set your own before Argo CD follows it"
        print(f"{settings}: repository: {read.repository!r}: {hint}", file=sys.stderr)
    argocd.add_applications(tree, sources, read)
    tree.synth()
    return {argocd.file_of(source): source.path for source in sources} | {argocd.ROOT_FILE: settings}


def _check_alone(source: Source, other: Source, export: str) -> None:
    """Refuse a second server on a store: within a cluster the constructs do, but they see one cluster only."""
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


def main() -> int:
    """Obey the environment: INSTANCES and CDK8S_OUTDIR, by default the folders `instances` and `dist` beside this."""
    try:
        synth(
            Path(os.environ.get("INSTANCES") or os.path.relpath(HERE / "instances")),
            Path(os.environ.get("CDK8S_OUTDIR") or os.path.relpath(HERE / "dist")),
        )
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Instance files in, manifests out: `python main.py`, `cdk8s synth`, or `make synth`."""

import os
import sys
from pathlib import Path

from app import cdk8s
from app.charts import add_instance
from app.errors import InputError
from app.output import publish, staged
from app.reading import Source, read_instances

GUIDE_ADDRESS = "123.12.123.12"

HERE = Path(__file__).resolve().parent


def synth(instances: Path, outdir: Path) -> None:
    """Write the manifests of an instance file, or of a folder of them."""
    sources = read_instances(instances)
    for source in sources:
        _warn(source)
    with staged(outdir) as staging:
        tree = cdk8s.App(outdir=str(staging))
        for source in sources:
            add_instance(tree, source)
        tree.synth()
        files = publish(staging, outdir, sources)
    for file in files:
        print(os.path.relpath(file))


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

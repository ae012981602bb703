"""Instance files in, manifests out: `python main.py`, `cdk8s synth`, or `make synth`."""

import os
import sys
from pathlib import Path

from app.errors import reporting
from app.synthesis import synth

HERE = Path(__file__).resolve().parent


@reporting()
def main() -> int:
    """Obey the environment: INSTANCES and CDK8S_OUTDIR, by default the folders `instances` and `dist` beside this."""
    instances = os.environ.get("INSTANCES") or os.path.relpath(HERE / "instances")
    outdir = os.environ.get("CDK8S_OUTDIR") or os.path.relpath(HERE / "dist")
    print(*map(os.path.relpath, synth(Path(instances), Path(outdir))), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Checks the instance files, and writes nothing: `make validate`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from app.errors import reporting
from app.instances.reading import read_instances
from app.synthesis import write_instances


@reporting()
def main() -> int:
    """Do what `make synth` does with them, in a folder that is thrown away; not with `argocd.yaml` and the output."""
    sources = read_instances(Path(os.environ.get("INSTANCES") or "instances"))
    with tempfile.TemporaryDirectory() as folder:
        write_instances(sources, Path(folder))
    print(*(f"{source.path}: valid" for source in sources), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Says what the instance files would change: `make diff`.

Exits with 0 where nothing changes, 1 where something does, 2 where the input cannot work, and 3 where a change cannot
be applied, loses sight of runs, or lets somebody in.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from app.changes.differences import Difference, differences
from app.changes.manifests import objects_at, objects_in, objects_of_cluster
from app.changes.report import report
from app.changes.warnings import warnings
from app.errors import reporting
from app.instances.reading import read_instances
from app.synthesis import write_instances

CLUSTER = "cluster"


@reporting(status=2)
def main() -> int:
    """Compare what `make synth` would write with what is there."""
    parser = argparse.ArgumentParser(prog="make diff", description=__doc__.partition("\n")[0])
    parser.add_argument("--against", default="HEAD", help="a Git revision, or `cluster` for that of kubectl's context")
    parser.add_argument("--markdown", action="store_true", help="for a comment on a pull request")
    options = parser.parse_args()
    found = _found(options.against)
    print(report(found, markdown=options.markdown))
    grave = any(warning.grave for each in found for warning in warnings(each, found))
    return 3 if grave else bool(found)


def _found(against: str) -> list[Difference]:
    instances, outdir = (Path(os.environ.get(name) or default) for name, default in _PATHS.items())
    with tempfile.TemporaryDirectory() as folder:
        write_instances(read_instances(instances), Path(folder))
        after = objects_in(Path(folder))
    if against == CLUSTER:
        return differences(*objects_of_cluster(after))
    return differences(objects_at(against, outdir.resolve()), after)


_PATHS = {"INSTANCES": "instances", "CDK8S_OUTDIR": "dist"}

if __name__ == "__main__":
    sys.exit(main())

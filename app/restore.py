"""Prints the Job that brings a copy of an instance's runs back: `make restore`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import cdk8s

from app.errors import InputError, reporting
from app.instances.chart import add_instance
from app.instances.reading import read_instances
from constructs_lib import AimRestore, OptionError

_FOLDER = Path(__file__).resolve().parents[1] / "instances"


def manifest(instance: str, *, snapshot: str = "latest", into: str | None = None, run: str | None = None) -> str:
    """Make the manifest, for `kubectl create`: it is in no folder that is applied, and has no name.

    Args:
        instance: an instance file, or the name of one in `instances/`.
        snapshot: restic's id of the copy. Default: the newest.
        into: claim in the namespace to restore to. Default: that of the runs.
        run: the only run to bring back. Default: all.

    Raises:
        InputError: there is no such instance, it has no backup, or an option cannot work.
    """
    file = Path(instance) if Path(instance).is_file() else Path(os.path.relpath(_FOLDER / f"{instance}.yaml"))
    if not file.is_file():
        names = ", ".join(sorted(each.stem for each in _FOLDER.glob("*.yaml")))
        raise InputError(f"INSTANCE: {instance!r}: no such instance file; write one of {names}, or a path")
    (source,) = read_instances(file)
    with tempfile.TemporaryDirectory() as outdir:
        chart = add_instance(cdk8s.App(outdir=outdir), source)
        if not chart.backup:
            raise InputError(f"{source.path}: backup: missing; write where the copies are")
        try:
            AimRestore(chart, "restore", backup=chart.backup, snapshot=snapshot, into=into, run=run)
        except OptionError as error:
            raise InputError(f"{error.option.upper()}: {error.value!r}: {error.remedy}") from None
        (job,) = [each for each in cdk8s.Testing.synth(chart) if each["kind"] == "Job"]
    return str(cdk8s.Yaml.stringify(job))


@reporting()
def main() -> int:
    """Obey the environment: INSTANCE, SNAPSHOT, INTO and RUN."""
    given = {name: os.environ.get(name.upper()) or None for name in ("into", "run")}
    snapshot = os.environ.get("SNAPSHOT") or "latest"
    print(manifest(os.environ.get("INSTANCE") or "aim", snapshot=snapshot, **given), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

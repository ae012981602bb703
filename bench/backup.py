"""What a backup takes, and what it costs the server beside it: the first copy, and one with a hundredth of new runs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cdk8s

from bench.serving import LOAD, manifests
from bench.store import FILL, PROCESSES, store
from constructs_lib.supervisor.staging import COPY
from tests.backup.conftest import Backup, make
from tests.harness.aim_environment import ENVIRONMENT
from tests.harness.restic import newest
from tests.harness.sandbox import OWNER, Pod, running

RUNS = [int(os.environ["RUNS"])] if os.environ.get("RUNS") else [300, 3000]
QUIET_SECONDS = 20
CHECK_PERCENT = 5


def own(folder: Path) -> None:
    """Give everything in a folder to the pod's user."""
    if os.geteuid() == 0:
        subprocess.run(["chown", "--recursive", f"{OWNER}:{OWNER}", folder], check=True)


def size(folder: Path, *, shared: bool = True) -> float:
    """MiB on the disk, with or without the files that are elsewhere, too."""
    files = (path.lstat() for path in folder.rglob("*") if path.is_file())
    return sum(512 * each.st_blocks for each in files if shared or each.st_nlink == 1) / 2**20


@contextlib.contextmanager
def probing(server: Pod, measured: dict[str, float], name: str) -> Iterator[None]:
    """Ask the server for something small again and again meanwhile, and note the 99th percentile."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*server.network, sys.executable, str(LOAD), "probes", f"{folder}/stop"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            yield
            Path(folder, "stop").touch()
            output, _ = process.communicate()
    measured[name] = json.loads(output)["p99 ms"]


def copy(backup: Backup) -> dict[str, float]:
    """Make a copy, container by container; seconds of each, and the room that staging takes."""
    job, measured = backup.job(), {}
    for name in ("stage", "restic", "finish"):
        begin = time.perf_counter()
        with job.started(name) as process:
            output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(output)
        measured[f"{name}, s"] = time.perf_counter() - begin
        if name == "stage":
            measured["staged, MiB"] = size(backup.runs / COPY)
            measured["of that not shared, MiB"] = size(backup.runs / COPY, shared=False)
    return measured


def record(volume: Path, first: int, count: int) -> None:
    """Record new runs."""
    subprocess.run([ENVIRONMENT / "bin/python", FILL, volume, str(first), str(count)], check=True)
    own(volume / ".aim")


def measure(runs: int, folder: Path) -> list[dict[str, float]]:
    """Two copies of a store with so many runs, while it is served."""
    volume, copies = folder / "runs", folder / "copies"
    shutil.copytree(store(runs), volume)
    programs = folder / "programs"
    copies.mkdir()
    programs.mkdir()
    shutil.copy2(newest(), programs / "restic")
    own(folder)
    chart = cdk8s.Chart(cdk8s.App(outdir=str(folder / "dist")), "bench", namespace="ml")
    construct = make(chart, percent=CHECK_PERCENT)
    backup = Backup(chart=chart, construct=construct, runs=volume, copies=copies, programs=programs)
    table: list[dict[str, float]] = []
    with running(manifests(), volume) as server:
        server.await_ready()
        for new in (0, runs // 100):
            if new:
                record(volume, runs // PROCESSES * PROCESSES, new)
            time.sleep(QUIET_SECONDS)  # the indexer is through
            measured = {"new runs": float(new or runs), "repository, MiB": size(volume / ".aim")}
            with probing(server, measured, "p99 without, ms"):
                time.sleep(QUIET_SECONDS)
            before = size(copies)
            with probing(server, measured, "p99 meanwhile, ms"):
                measured |= copy(backup)
            measured["p99, ratio"] = measured["p99 meanwhile, ms"] / measured["p99 without, ms"]
            table.append(measured | {"sent to the target, MiB": size(copies) - before})
    return table


def main() -> None:
    """Measure each size of a store, and print both of its copies."""
    for runs in RUNS:
        with tempfile.TemporaryDirectory(dir=store(runs).parent) as folder:
            first, second = measure(runs, Path(folder))
        print(f"\nbackup of {runs} runs, to a folder:         first   with 1 % new")
        for name, value in first.items():
            print(f"{name:40} {value:8.2f} {second[name]:14.2f}")


if __name__ == "__main__":
    main()

"""Opens a restored copy with the real Aim, and counts its runs against the number that was staged."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import Refusal, say
from .child import command_of
from .databases import open_database
from .finishing import conclude
from .hashes import runs_of
from .notes import LAST_DRILL, note, read_json
from .patches.rocks import read_run
from .staging import DATABASES, SUMMARY, listed_runs, missing_files

_CLOCKS_SECONDS = 3600
"""Clocks of two nodes may differ so much."""


def drill(_: argparse.Namespace) -> None:
    """Inspect the copy, in the interpreter that Aim is installed in."""
    command = command_of("inspect")
    os.execv(command[0], command)


def inspect(options: argparse.Namespace) -> None:
    """Open every run of a restored copy, and note the result on the volume of runs.

    Raises:
        Refusal: runs are missing, or the copy or some of its runs cannot be read.
    """
    copy = Path(options.copy)
    expected = read_json(copy / SUMMARY).get("runs", -1)
    try:
        found, is_whole, text = _examine(copy)
    except Exception as error:  # noqa: BLE001  # whatever Aim and SQLite raise for what is no repository
        found, is_whole, text = 0, False, f"{type(error).__name__}: {error}"
    succeeded = is_whole and found == expected
    note(Path(options.repository, LAST_DRILL), succeeded=succeeded, runs=found, expected=expected)
    summary = f"{found} of {expected} runs of the newest copy are read by Aim, {text}"
    if not succeeded:
        raise Refusal(f"{summary}: restore an older copy to another volume, and compare")
    conclude(summary)


def _examine(copy: Path) -> tuple[int, bool, str]:
    """How many runs of a copy can be read, whether nothing is wrong with it, and a text on the rest of it."""
    _check_date(copy)
    _check_databases(copy)
    missing, listed = missing_files(copy), listed_runs(copy / ".aim")
    broken = {run: reason for run, reason in unreadable_runs(copy) if run in listed or not _is_half_made(copy, run)}
    for run, reason in broken.items():
        say(f"run {run} cannot be read: {reason}")
    runs = len(runs_of(copy / ".aim"))
    are_listed = len(listed) >= runs - read_json(copy / SUMMARY).get("unlisted", 0)
    text = f"{len(listed)} are listed" + (f", {missing} files are missing" if missing else "")
    return runs - len(broken), are_listed and not broken and not missing, text


def _is_half_made(copy: Path, run: str) -> bool:
    """Whether a trainer was killed while it made the folder of a run: neither tables nor logs are in it yet."""
    return not [*(copy / ".aim/meta/chunks" / run).glob("*.sst"), *(copy / ".aim/meta/chunks" / run).glob("*.log")]


def _check_date(copy: Path) -> None:
    made = read_json(copy / SUMMARY).get("made", 0)
    if made > time.time() + _CLOCKS_SECONDS:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(made))
        raise Refusal(f"it is of {when}, by a node whose clock was wrong, and the newest until then: restic forget it")


def _check_databases(copy: Path) -> None:
    for name in DATABASES:
        if (copy / ".aim" / name).exists():
            with contextlib.closing(open_database(copy / ".aim" / name)) as database:
                (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise Refusal(f"{name}: {verdict}")


def unreadable_runs(volume: Path) -> Iterator[tuple[str, str]]:
    """Runs of a repository that Aim cannot read, and why."""
    from aim.sdk.repo import Repo

    repository = Repo.from_path(str(volume))
    for run in sorted(runs_of(volume / ".aim")):
        try:
            _read(repository, run)
        except Exception as error:  # noqa: BLE001  # whatever Aim, RocksDB or a decoder raise
            yield run, f"{type(error).__name__}: {error}"
        repository.container_pool.clear()


def _read(repository: Any, run_hash: str) -> None:
    """Read the parameters of a run, the points of its metrics, and the bytes of its images, texts and other objects."""
    from aim import Metric, Run

    with read_run(repository.path, run_hash) as tree:
        try:
            tree.collect()
        except KeyError:  # there is nothing at all, not even the name of a metric
            if Path(repository.path, "seqs/chunks", run_hash).exists():
                raise
            return  # a trainer was killed as it began the run; nobody brings back more of it
    run = Run(run_hash, repo=repository, read_only=True)
    for name, context, _ in run.iter_metrics_info():  # `run.metrics()` leaves out those of archived runs
        Metric(name, context, run).values.sparse_list()
    for _ in repository.request_container("seqs", run_hash, read_only=True).items():
        pass  # RocksDB checks what it reads

"""Brings the metrics of a run to the form of Aim 3.29.

Wrong in Aim 3.29: `aim runs update-metrics` and `aim storage upgrade` ask for the server to be down, write to runs that
are being written, and end with 0 whatever fails. They pair the columns of a metric by position, and delete those: where
points lack a time, others are lost. Here one run is updated, with Aim's own functions, unless points have no time.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from .points import torn_points, untimed_metrics
from .rocks import read_run


def is_former(repository: Path, run: str) -> bool:
    """Whether a run lacks what Aim 3.29 writes: the types of its sequences, or metrics of version 2."""
    with read_run(repository, run) as tree:
        traces = tree.collect("traces") if "traces" in [*tree.keys()] else {}
        return bool(traces) and ("typed_traces" not in [*tree.keys()] or bool(_first_form(traces)))


def _first_form(traces: Any) -> list[tuple[int, str]]:
    """Contexts and names of the metrics in the form of former versions."""
    infos = [(context, name, info) for context, each in traces.items() for name, info in each.items()]
    metrics = [each for each in infos if each[2].get("dtype", "float") in ("float", "float64", "int")]
    return [(context, name) for context, name, info in metrics if info.get("version", 1) == 1]


def update(volume: Path, run: str) -> None:
    """Update a run that nobody writes to; its metrics as they were are kept in `.aim/bcp`, where they are rewritten.

    Raises:
        ValueError: points of it would be lost.
        Exception: whatever Aim and RocksDB raise.
    """
    from aim.sdk.maintenance_run import MaintenanceRun
    from aim.sdk.repo import Repo
    from aim.sdk.sequences.sequence_type_map import SEQUENCE_TYPE_MAP
    from aim.sdk.utils import backup_run

    repo = Repo.from_path(str(volume))
    with read_run(repo.path, run) as tree:
        metrics = _first_form(tree.collect("traces"))
    if metrics:
        _check_times(Path(repo.path), run, metrics)
        backup_run(repo, run)
        torn_points(repo.path, run, remove=True)
    opened = MaintenanceRun(run, repo=repo)
    if metrics:
        opened.update_metrics()
    tree = opened.meta_run_tree
    for context, traces in tree.collect("traces").items():
        for name, info in traces.items():
            kind = SEQUENCE_TYPE_MAP.get(info.get("dtype", "float"), "sequence")
            tree["typed_traces", kind, context, name] = 1
    with contextlib.suppress(AttributeError):
        opened._resources.close()
    repo.container_pool.clear()


def _check_times(repository: Path, run: str, metrics: list[tuple[int, str]]) -> None:
    untimed = untimed_metrics(repository, run, metrics)
    if untimed:
        raise ValueError(
            f"points of {', '.join(untimed)} have no time or no epoch, and would be lost: left as they are"
        )

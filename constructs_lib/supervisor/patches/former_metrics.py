"""Brings the metrics of a run to the form of Aim 3.29.

Wrong in Aim 3.29: `aim runs update-metrics` and `aim storage upgrade` ask for the server to be down, write to runs that
are being written, and end with 0 whatever fails. Here one run is updated, with Aim's own functions.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from .rocks import read_run


def is_former(repository: Path, run: str) -> bool:
    """Whether a run lacks what Aim 3.29 writes: the types of its sequences, or metrics of version 2."""
    with read_run(repository, run) as tree:
        traces = tree.collect("traces") if "traces" in [*tree.keys()] else {}
        return bool(traces) and ("typed_traces" not in [*tree.keys()] or _is_first(traces))


def _is_first(traces: Any) -> bool:
    sequences = [info for context in traces.values() for info in context.values()]
    metrics = [each for each in sequences if each.get("dtype", "float") in ("float", "float64", "int")]
    return any(each.get("version", 1) == 1 for each in metrics)


def update(volume: Path, run: str) -> None:
    """Update a run that nobody writes to; its metrics as they were are kept in `.aim/bcp`, where they are rewritten.

    Raises:
        Exception: whatever Aim and RocksDB raise.
    """
    from aim.sdk.maintenance_run import MaintenanceRun
    from aim.sdk.repo import Repo
    from aim.sdk.sequences.sequence_type_map import SEQUENCE_TYPE_MAP
    from aim.sdk.utils import backup_run

    repo = Repo.from_path(str(volume))
    opened = MaintenanceRun(run, repo=repo)
    if opened.check_metrics_version():
        backup_run(repo, run)
        opened.update_metrics()
    tree = opened.meta_run_tree
    for context, traces in tree.collect("traces").items():
        for name, info in traces.items():
            kind = SEQUENCE_TYPE_MAP.get(info.get("dtype", "float"), "sequence")
            tree["typed_traces", kind, context, name] = 1
    with contextlib.suppress(AttributeError):
        opened._resources.close()
    repo.container_pool.clear()

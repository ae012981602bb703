"""What a server's pages list, asked as the pages ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def runs_of_experiments(get: Callable[[str], str | None]) -> dict[str, list[dict[str, Any]]]:
    """The runs of every experiment that has one, the newest first.

    Args:
        get: what a path of the server answers.
    """
    found = {}
    for experiment in json.loads(get("/api/experiments/") or "[]"):
        answer = get(f"/api/experiments/{experiment['id']}/runs/")
        found[experiment["name"]] = json.loads(answer or "{}").get("runs", [])
    return {name: runs for name, runs in found.items() if runs}


def going_on(get: Callable[[str], str | None]) -> set[str]:
    """The experiments that have a run that has not ended."""
    return {name for name, runs in runs_of_experiments(get).items() if any(run["end_time"] is None for run in runs)}

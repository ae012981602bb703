"""Seeds a repository with everything that Aim stores, and tells all that is in one; with whichever Aim runs it.

`python aim_of_old.py seed|tell <folder>`; `make_seeds` runs it with Aims from PyPI. Imports nothing of ours.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

_RUNS = 4
_NOTE = "INSERT INTO note (content, run_id, created_at, updated_at) SELECT ?, id, created_at, created_at FROM run"
_DASHBOARD = (
    "INSERT INTO dashboards (uuid, name, description, is_archived, created_at, updated_at)"
    " VALUES ('{}', 'losses', 'of all runs', 0, '2024-01-02 03:04:05', '2024-01-02 03:04:05')"
).format("0" * 32)
_PARAMETERS: dict[str, Any] = {
    "numbers": {"int": 7, "large": 2**40, "negative": -3, "float": 0.1, "bool": True, "none": None},
    "text": "l\u00f6ss \u2014 \u640d\u5931",
    "lists": [1, 2.5, "three", [4, None], {"five": 5}],
    "nested": {"a": {"b": {"c": {"d": "deep"}}}},
}


def seed(options: argparse.Namespace) -> None:
    """Make a repository, and a few runs in it."""
    from aim.sdk.repo import Repo

    Repo.from_path(str(options.folder), init=True)
    _make_interface_database(options.folder)
    for number in range(_RUNS):
        _record(options.folder, number)
    with sqlite3.connect(options.folder / ".aim/run_metadata.sqlite") as runs:
        runs.execute(f"{_NOTE} WHERE name != 'run 1'", ["**keep** it \u2714"])
        runs.execute("UPDATE tag SET color = '#18AB6D', description = 'to keep'")
    with sqlite3.connect(options.folder / ".aim/aim_db") as interface:
        interface.execute(_DASHBOARD)


def _make_interface_database(folder: Path) -> None:
    """Have alembic make it, as `aim up` does."""
    from aim.web import configs

    scripts = Path(configs.__file__).with_name("migrations") / "alembic.ini"
    command = [sys.executable, "-m", "alembic", "-c", str(scripts), "upgrade", "head"]
    subprocess.run(command, env={**os.environ, configs.AIM_UI_MOUNTED_REPO_PATH: str(folder)}, check=True)


def _record(folder: Path, number: int) -> None:
    import aim
    import numpy as np

    quiet: dict[str, Any] = {"system_tracking_interval": None, "log_system_params": False}
    run = aim.Run(repo=str(folder), experiment=f"experiment {number % 2}", capture_terminal_logs=False, **quiet)
    run.name, run.description, run.archived = f"run {number}", f"the {number}. of them", number == 3
    run["hparams"] = {**_PARAMETERS, "number": number}
    run["flat"] = number
    for tag in ["all", "even"] if number % 2 == 0 else ["all"]:
        run.add_tag(tag)
    for step in range(60):
        for subset in ("train", "val"):
            run.track(1 / (step + 1 + number), name="loss", step=step * 2, epoch=step // 10, context={"subset": subset})
        run.track(step * number, name="count", step=step)
    pixels = np.arange(8 * 8 * 3, dtype="uint8").reshape(8, 8, 3) + number
    for step in range(2):
        run.track(aim.Image(pixels, caption=f"image {step}"), name="image", step=step, context={"subset": "val"})
        run.track([aim.Text("text"), aim.Text(f"{step} \u00e4")], name="text", step=step)
        run.track(aim.Distribution(range(50 + step)), name="distribution", step=step)
    run.close()


def tell(options: argparse.Namespace) -> None:
    """Print all that is in a repository."""
    import aim

    repository = aim.Repo(str(options.folder))
    details = _details(options.folder)
    names = repository.list_all_runs()
    runs = {name: {**_run(repository, name), **details[name]} for name in sorted(names)}
    print(json.dumps({"runs": runs}))


def _run(repository: Any, name: str) -> dict[str, Any]:
    import aim

    run = aim.Run(name, repo=repository, read_only=True)
    # `run.metrics()` leaves archived runs out
    found = [run.get_metric(metric, context) for metric, context, _ in run.iter_metrics_info()]
    metrics = {f"{each.name} {json.dumps(each.context.to_dict())}": _metric(each) for each in found}
    return {
        "parameters": run[...],
        "metrics": metrics,
        "stored": _digests(Path(repository.path, "seqs/chunks", name)),
        "ended": run.end_time,
        "began": run.creation_time,
        "properties": [run.name, run.description, run.archived, run.experiment, sorted(run.tags)],
    }


def _metric(metric: Any) -> list[list[Any]]:
    steps, columns = metric.data.items_list()
    rows = [[float(step), *(float(each) for each in row)] for step, *row in zip(steps, *columns)]  # noqa: B905
    return sorted(rows)


def _digests(store: Path) -> dict[str, str]:
    """A hash of all that is stored of each sequence of a run, bytes of images included."""
    import aimrocks
    from aim.storage.encoding import decode_path

    rows = aimrocks.DB(str(store), aimrocks.Options(create_if_missing=False), read_only=True).iteritems()
    rows.seek_to_first()
    digests: dict[str, Any] = defaultdict(hashlib.sha256)
    for key, value in rows:
        path = decode_path(key)
        after = path.index("chunks") + 2  # the run's name; a context and a name of a sequence come next
        digests[str(path[1 : after - 2] + path[after : after + 2])].update(key + b"=" + value)
    return {sequence: digest.hexdigest() for sequence, digest in sorted(digests.items())}


def _details(folder: Path) -> dict[str, dict[str, Any]]:
    """What the database has of each run: its notes, and of its tags and experiment what Aim's objects do not say."""
    with sqlite3.connect(folder / ".aim/run_metadata.sqlite") as runs:
        found = runs.execute("SELECT hash, id, created_at, is_archived, experiment_id FROM run").fetchall()
        return {name: {"row": row, **_rows_of(runs, row[0])} for name, *row in found}


def _rows_of(runs: sqlite3.Connection, number: int) -> dict[str, Any]:
    tags = "SELECT name, color, description, uuid FROM tag JOIN run_tag ON tag_id = tag.id WHERE run_id = ? ORDER BY 1"
    notes = "SELECT content, created_at FROM note WHERE run_id = ? ORDER BY id"
    return {"tags": runs.execute(tags, [number]).fetchall(), "notes": runs.execute(notes, [number]).fetchall()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["seed", "tell"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    globals()[arguments.action](arguments)

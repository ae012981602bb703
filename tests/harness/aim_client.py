"""What tests do to a repository with the real Aim, each a command of its own: `python aim_client.py write ...`.

Runs in Aim's environment, so it imports nothing of ours.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def write(options: argparse.Namespace) -> None:
    """Record runs, one after the other, and say of each when it is whole: name, and number of points."""
    import aim

    for number in range(options.runs):
        run = aim.Run(repo=options.repository, experiment=options.name, log_system_params=False)
        run["number"] = number
        for step in range(options.points):
            run.track(step, name="loss", step=step)
            time.sleep(options.pause)
        run.close()
        print(json.dumps({"hash": run.hash, "points": options.points}), flush=True)


def rush(options: argparse.Namespace) -> None:
    """Record points as fast as it goes, from a given time on; print how many, and when that began and ended."""
    import aim

    run = aim.Run(repo=options.repository, experiment=options.name, log_system_params=False)
    run.track(0, name="loss", step=0)
    time.sleep(max(0, options.begin - time.time()))
    begin = time.time()
    for step in range(1, options.points + 1):
        run.track(step, name="loss", step=step)
    run.close()
    print(json.dumps({"points": options.points, "begin": begin, "end": time.time()}), flush=True)


def acknowledge(options: argparse.Namespace) -> None:
    """Record runs until killed; note in a file what Aim has taken: points, a parameter with every 20th."""
    import aim

    pause = Path(options.repository, "pause")
    quiet: dict[str, Any] = {"system_tracking_interval": None, "capture_terminal_logs": False}
    with Path(options.repository, f"{options.name}.acknowledged").open("a", encoding="utf-8") as file:
        while True:
            run = aim.Run(repo=options.repository, experiment=options.name, log_system_params=False, **quiet)
            for step in range(options.points):
                while pause.exists():
                    time.sleep(0.05)
                run.track(step, name="loss", step=step)
                if step % 20 == 0:
                    run["step"] = step
                print(json.dumps([run.hash, step]), file=file, flush=True)
                time.sleep(options.pause)
            run.close()


def read(options: argparse.Namespace) -> None:
    """Print of each listed run how many first points are as written, and the parameter `step`; without the index."""
    import aim

    repository = aim.Repo(options.repository)
    for run_hash in repository.list_all_runs():
        run = aim.Run(run_hash, repo=repository, read_only=True)
        points: dict[int, float] = {}
        for metric in (each for each in run.metrics() if each.name == "loss"):  # one, or none yet
            # by key: Aim writes a value before its step, and then takes all after the one without a step for another's
            values = dict(metric.values.items())
            points = {step: values[key] for key, step in metric.data.steps.items()}
        equal = next(step for step in range(len(points) + 1) if points.get(step) != step)
        found = {"hash": run_hash, "points": equal, "step": run.get("step"), "ended": run.end_time is not None}
        print(json.dumps(found), flush=True)


def init(options: argparse.Namespace) -> None:
    """Make a repository."""
    from aim.sdk.repo import Repo

    Repo.from_path(options.repository, init=True)


def count(options: argparse.Namespace) -> None:
    """Print every run of a repository that the server has indexed, and how many points of `loss` it has."""
    import aim

    repository = aim.Repo(options.repository)
    runs = {run.hash: _points(run) for run in repository.iter_runs()}
    print(json.dumps(runs))


def _points(run: Any) -> int:
    lengths = [len(metric.values.sparse_list()[0]) for metric in run.metrics() if metric.name == "loss"]
    return lengths[0] if lengths else 0


def hold_creation_lock(options: argparse.Namespace) -> None:
    """Die while creating a run: leave `structured_db_lock` behind, as SIGKILL does in that moment."""
    from aim.sdk.repo import Repo

    repository = Repo.from_path(options.repository)
    repository._sdb_lock.acquire()
    print("held", flush=True)
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def keep_creation_lock(options: argparse.Namespace) -> None:
    """Hold `structured_db_lock` alive for a while."""
    from aim.sdk.repo import Repo

    with Repo.from_path(options.repository)._sdb_lock:
        print("held", flush=True)
        time.sleep(options.pause)


def await_creation_lock(options: argparse.Namespace) -> None:
    """Print how many seconds it takes until `structured_db_lock` is free, or taken from whoever has it."""
    from aim.sdk.repo import Repo

    repository, begin = Repo.from_path(options.repository), time.monotonic()
    with repository._sdb_lock:
        print(time.monotonic() - begin)


def hold_index(options: argparse.Namespace) -> None:
    """Hold the lock of the index, as a second `aim up` does."""
    import aimrocks

    index = Path(options.repository, ".aim/meta/index")
    while True:
        try:
            database = aimrocks.DB(str(index), aimrocks.Options(create_if_missing=True))
        except aimrocks.errors.RocksIOError:
            time.sleep(0.01)
            continue
        print("held", flush=True)
        time.sleep(600)
        del database


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("action")
    parser.add_argument("repository")
    parser.add_argument("--name", default="test")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--pause", type=float, default=0)
    parser.add_argument("--begin", type=float, default=0, help="seconds since the epoch")
    arguments = parser.parse_args()
    globals()[arguments.action](arguments)

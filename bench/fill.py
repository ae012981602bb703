"""Records runs for a measurement: `python fill.py FOLDER FIRST COUNT`.

Runs in Aim's environment, so it imports nothing of the project.
"""

from __future__ import annotations

import sys
from typing import Any

import aim
import aim.sdk.base_run
from aim.sdk.repo import Repo

METRICS, STEPS = ("loss", "accuracy", "val_loss", "val_accuracy"), 100


def main(folder: str, first: int, count: int) -> None:
    """Record runs as a sweep does: a few parameters, an experiment, and the metrics of each step."""
    repository = Repo.from_path(folder, init=count == 0)
    quiet: dict[str, Any] = {"system_tracking_interval": None, "capture_terminal_logs": False}
    for number in range(first, first + count):
        aim.sdk.base_run.generate_run_hash = lambda number=number: f"{number:024x}"
        run = aim.Run(repo=repository, experiment=f"experiment {number % 5}", log_system_params=False, **quiet)
        run.name = f"run {number}"
        run["hparams"] = {"number": number, "lr": 10.0 ** -(number % 5), "layers": [64, 32], "optimizer": "adam"}
        for step in range(STEPS):
            for metric in METRICS:
                run.track(1 / (step + 1 + number % 7), name=metric, step=step)
        # Aim stops its thread for check-ins without a lock: if the thread ends too early, `close` waits for ever
        reporter, run._resources._checkins = run._checkins, None
        run.close()
        reporter.stop_signal.set()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

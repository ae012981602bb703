"""One life of a trainer that begins, resumes and ends runs, and may be killed.

`python soak_writer.py REPOSITORY NOTES SEED`. Runs in Aim's environment, so it imports nothing of the project. What Aim
has taken is noted, a line of JSON each.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

QUIET: dict[str, Any] = {"system_tracking_interval": None, "capture_terminal_logs": False, "log_system_params": False}
TO_DELETE = 4
"""Every fourth run is left for whoever deletes runs: to resume one of them meanwhile is another question."""


def main(repository: str, notes: str, seed: int) -> None:
    """Record some runs, one after the other."""
    dice, ended = random.Random(seed), {}
    if Path(notes).exists():
        for line in Path(notes).read_text(encoding="utf-8").splitlines():
            note = json.loads(line)
            ended[note["run"]] = note
    with Path(notes).open("a", encoding="utf-8") as file:
        for _ in range(dice.randrange(2, 8)):
            known = [run for run, note in ended.items() if int(run, 16) % TO_DELETE]
            run = dice.choice(known) if known and dice.random() < 0.3 else None
            begin = ended[run]["step"] + 1 if run else 0
            ended |= record(repository, file, dice, run=run, begin=begin)


def record(repository: str, file: Any, dice: random.Random, *, run: str | None, begin: int) -> dict[str, Any]:
    """Record points of a new run or of one of before, and end it, unless killed before."""
    import aim

    recorded = aim.Run(run, repo=repository, experiment="soak", **QUIET)
    note: dict[str, Any] = {}
    for step in range(begin, begin + dice.randrange(1, 60)):
        recorded.track(step, name="loss", step=step)
        note = {"run": recorded.hash, "step": step}
        print(json.dumps(note), file=file, flush=True)
        time.sleep(dice.random() / 20)
    if dice.random() < 0.15:
        os.kill(os.getpid(), signal.SIGKILL)
    # as in `fill.py`: Aim's thread for check-ins may end too early, and `close` would wait for ever
    reporter, recorded._resources._checkins = recorded._checkins, None
    recorded.close()
    reporter.stop_signal.set()
    note["ended"] = True
    print(json.dumps(note), file=file, flush=True)
    return {recorded.hash: note}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

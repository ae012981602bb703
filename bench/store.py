"""A repository of many runs, made once and kept in the user's cache: 2,000 take some minutes and 2 GB."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.harness.aim_environment import PYTHON
from tests.harness.sandbox import OWNER

FILL = Path(__file__).with_name("fill.py")
PROCESSES = 2


def store(runs: int) -> Path:
    """The volume with so many runs, which are recorded now if nobody has measured with them before."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "aim-on-kubernetes")
    found = cache / f"runs-{runs}"
    if not found.exists():
        print(f"{found}: recording {runs} runs, once", file=sys.stderr)
        made = cache / f"runs-{runs}.part"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        record(made, runs)
        made.rename(found)
    return found


def record(volume: Path, runs: int) -> None:
    """Record runs, by several processes at once."""
    script, part = [str(PYTHON), str(FILL), str(volume)], runs // PROCESSES
    subprocess.run([*script, "0", "0"], check=True)  # the repository
    parts = [subprocess.Popen([*script, str(part * number), str(part)]) for number in range(PROCESSES)]
    if any(each.wait() for each in parts):
        raise RuntimeError("Aim could not record the runs")
    if os.geteuid() == 0:
        subprocess.run(["chown", "--recursive", f"{OWNER}:{OWNER}", volume], check=True)

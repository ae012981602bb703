"""Minutes of trainers that begin, end, resume and are killed, beside deletions: `MINUTES=10 python -m bench.soak`.

Afterwards every run that was not deleted is found by a search, with its last point; and no other.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.scale import search
from bench.serving import manifests, own_folder
from tests.harness.aim_environment import ENVIRONMENT
from tests.harness.sandbox import CLIENT, Pod, running
from tests.harness.soak_writer import TO_DELETE

MINUTES = float(os.environ.get("MINUTES") or 10)
WRITERS, PATIENCE, AT_ONCE = 3, 120, 20
SCRIPT = CLIENT.with_name("soak_writer.py")
DELETE = """
import sys, urllib.request
headers = {"content-type": "application/json"}
request = urllib.request.Request("http://127.0.0.1:43800/api/runs/delete-batch/", sys.argv[1].encode(), headers)
print(urllib.request.urlopen(request, timeout=60).status)
"""


def write(server: Pod, number: int, end: float) -> int:
    """Live and die again and again; how often a writer ended."""
    lives = 0
    while time.monotonic() < end:
        seed = 1000 * number + lives
        command = [ENVIRONMENT / "bin/python", SCRIPT, "/aim", f"/aim/notes-{number}", seed]
        server.start(*command).communicate()
        lives += 1
    return lives


def noted(volume: Path) -> dict[str, dict[str, Any]]:
    """What Aim has taken: the last note of each run."""
    lines = [line for file in volume.glob("notes-*") for line in file.read_text(encoding="utf-8").splitlines()]
    return {note["run"]: note for note in map(json.loads, lines)}


def delete(server: Pod, volume: Path, end: float) -> set[str]:
    """Delete a run that has ended every few seconds; which ones."""
    deleted: set[str] = set()
    dice = random.Random(0)
    while time.monotonic() < end:
        time.sleep(5)
        ended = [run for run, note in noted(volume).items() if note.get("ended") and not int(run, 16) % TO_DELETE]
        left = sorted(set(ended) - deleted)
        if left:
            run = dice.choice(left)
            command = [*server.network, sys.executable, "-c", DELETE, json.dumps([run])]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                deleted.add(run)
    return deleted


def found(server: Pod) -> set[str]:
    """Runs that a search finds."""
    path = search("run", 'run.experiment == "soak"', "exclude_params=true", "exclude_traces=true")
    return set(re.findall(r"[0-9a-f]{24}", server.get(f"{path}&report_progress=false", timeout=60) or ""))


def whole(server: Pod, notes: list[dict[str, Any]]) -> set[str]:
    """Which of these runs are found with their last point."""
    point = '(run.hash == "{run}" and metric.last_step >= {step})'
    query = f'metric.name == "loss" and ({" or ".join(point.format_map(note) for note in notes)})'
    answer = server.get(search("metric", query, "p=1", "report_progress=false"), timeout=60) or ""
    return set(re.findall(r"[0-9a-f]{24}", answer))


def main() -> None:
    """Soak, and tell what is missing."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        volume = own_folder(root, "volume")
        with running(manifests(), volume) as server, ThreadPoolExecutor() as pool:
            server.await_ready()
            end = time.monotonic() + 60 * MINUTES
            deleting = pool.submit(delete, server, volume, end)
            lives = sum(pool.map(lambda number: write(server, number, end), range(WRITERS)))
            deleted, notes = deleting.result(), noted(volume)
            wanted, begin = set(notes) - deleted, time.monotonic()
            while (missing := wanted - found(server)) and time.monotonic() - begin < PATIENCE:
                time.sleep(1)
            complete = [notes[run] for run in sorted(wanted - missing)]
            batches = [complete[at : at + AT_ONCE] for at in range(0, len(complete), AT_ONCE)]
            torn = wanted - missing - {run for batch in batches for run in whole(server, batch)}
            foreign = found(server) - wanted
            print(f"soak: {MINUTES:.0f} minutes, {lives} lives of writers, {len(notes)} runs, {len(deleted)} deleted")
            print(
                f"not found: {len(missing)}; without their last point: {len(torn)}; found, but deleted: {len(foreign)}"
            )
            print(*(line for line in server.logs.splitlines() if "aim-supervisor" in line), sep="\n")
    sys.exit(bool(missing or torn or foreign))


if __name__ == "__main__":
    main()

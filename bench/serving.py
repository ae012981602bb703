"""What the supervisor is worth: the pod of `dist/` against the command of Aim's own guide, in turns."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from bench.load import CHEAP
from tests.e2e.guide import COMMAND
from tests.harness.manifest_rules import Manifest, pod_of
from tests.harness.sandbox import Pod, running, wait_for

ROOT = Path(__file__).resolve().parents[1]
LOAD = ROOT / "bench/load.py"
ROUNDS = 3
RUNS, POINTS = 40, 500


def manifests(command: str | None = None) -> list[Manifest]:
    """The committed manifests, with another command or their own."""
    found: list[Manifest] = list(yaml.safe_load_all((ROOT / "dist/aim.k8s.yaml").read_text(encoding="utf-8")))
    if command:
        pod_of(found)["containers"][0]["command"] = ["/bin/sh", "-c", command]
    return found


def memory(server: Pod, *, within: int | None = None) -> float:
    """MiB of everything in the pod but its clients, or of one process and its children; shared pages counted once."""
    script = """
    for process in /proc/[0-9]*; do
        grep -qs aim_client $process/cmdline || grep -hs "^Pss: " $process/smaps_rollup
    done
    """
    if within is None:
        lines = server.start("/bin/sh", "-c", script).communicate()[0].splitlines()
    else:
        children = Path(f"/proc/{within}/task/{within}/children").read_text(encoding="ascii").split()
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii") for pid in (within, *children)]
        lines = [line for text in texts for line in text.splitlines() if line.startswith("Pss:")]
    return sum(int(line.split()[1]) for line in lines) / 1024


def measure(command: str | None, volume: Path, *, stop_seconds: float) -> dict[str, float]:
    """One life of a server: start, idle, load, stop."""
    begin = time.perf_counter()
    with running(manifests(command), volume) as server:
        server.await_ready(CHEAP)
        measured = {"first 200 s": time.perf_counter() - begin}
        time.sleep(3)
        measured["idle MiB"] = memory(server)
        measured |= load(server, "cheap")
        record(server)
        for _ in range(3):
            searched = load(server, "searches")
        measured |= searched | {"MiB after the searches": memory(server)}
        begin = time.perf_counter()
        try:
            server.stop(seconds=stop_seconds)
        except subprocess.TimeoutExpired:
            server.kill()
        measured["stop s"] = time.perf_counter() - begin
    return measured


def load(server: Pod, *kind: object) -> Any:
    """Put a load on it from its own network; what the load measured."""
    command = [*server.network, sys.executable, str(LOAD), *map(str, kind)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def record(server: Pod) -> None:
    """Record runs to search, and wait until the server's index has them all."""
    output, _ = server.client("write", "--runs", RUNS, "--points", POINTS).communicate()
    last = json.loads(output.splitlines()[-1])["hash"]
    wait_for(lambda: last in (server.get("/api/runs/search/run/?q=") or ""), seconds=60, still=server)


def own_folder(root: str, name: str) -> Path:
    """An empty volume of the pod's user."""
    folder = Path(root, name)
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 10001, 10001)
    return folder


def main() -> None:
    """Measure in turns, on an empty volume each, and print medians and their ratio."""
    ours, guide = [], []
    for turn in range(ROUNDS):
        with tempfile.TemporaryDirectory() as root:
            Path(root).chmod(0o755)
            ours.append(measure(None, own_folder(root, "ours"), stop_seconds=60))
            # the kubelet kills after 30 s, which is what the guide's command waits for
            guide.append(measure(COMMAND, own_folder(root, "guide"), stop_seconds=30))
        print(f"turn {turn + 1} of {ROUNDS}", file=sys.stderr)
    print("\nserving, two workers, empty volume:     ours    guide    ours / guide")
    for name in ours[0]:
        our, their = (statistics.median(each[name] for each in side) for side in (ours, guide))
        print(f"{name:36} {our:8.2f} {their:8.2f} {our / their:10.2f}")

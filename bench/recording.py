"""Points a second over the volume and over the network, and what the pod needs for it; ours and the bare commands."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import cdk8s

from bench.load import CHEAP
from bench.serving import memory, own_folder
from tests.e2e.guide import COMMAND
from tests.harness.building import aim_server, dynamic
from tests.harness.manifest_rules import Manifest, pod_of
from tests.harness.sandbox import Pod, running, wait_for

URL = "aim://127.0.0.1:53800"
WAYS = {"volume": ("/aim", 8000), "network": (URL, 1500)}
"""Repository, and points of each client: enough for some seconds."""

CLIENTS = (1, 4, 16)
TURNS = int(os.environ.get("TURNS") or 3)
WANTED = {"volume": 0.95, "network": 1.1}
"""Of bare."""

BARE = ["aim", "server", "--host", "0.0.0.0", "--repo", "/aim"]


def manifests(*, bare: bool) -> list[Manifest]:
    """A server with a tracking server beside it; by our commands, or by Aim's own."""
    chart = cdk8s.Chart(cdk8s.App(outdir=tempfile.mkdtemp()), "chart", namespace="bench")
    aim_server(chart, "server", storage=dynamic(chart)).add_tracking()
    found: list[Manifest] = list(cdk8s.Testing.synth(chart))
    containers = pod_of(found)["containers"]
    if bare:
        containers[0]["command"], containers[1]["command"] = ["/bin/sh", "-c", COMMAND], BARE
    return found


def rate(server: Pod, way: tuple[str, int], clients: int, meanwhile: Callable[[], None] = lambda: None) -> float:
    """Points a second of so many clients at once, from the first point of the first to the close of the last."""
    repository, points = way
    begin = time.time() + 4 + 2 * clients  # each takes a second or two of a core to import Aim
    options = ("--points", points, "--begin", begin)
    started = [server.client("rush", "--name", f"bench-{n}", *options, repository=repository) for n in range(clients)]
    while any(client.poll() is None for client in started):
        meanwhile()
        time.sleep(0.5)
    done = [json.loads(client.communicate(timeout=300)[0]) for client in started]
    seconds = max(each["end"] for each in done) - min(each["begin"] for each in done)
    return float(sum(each["points"] for each in done) / seconds)


def measure(volume: Path, *, bare: bool) -> dict[str, float]:
    """One pod: idle, and under every load."""
    found = manifests(bare=bare)
    with ExitStack() as stack:
        server = stack.enter_context(running(found, volume))
        server.await_ready(CHEAP)
        tracking = stack.enter_context(server.running(pod_of(found)["containers"][1]))
        wait_for(lambda: tracking.get("/status/", port=53800, timeout=2), seconds=60, still=tracking)
        time.sleep(3)
        measured = memories(server, tracking, "idle")
        peak = measured.copy()

        def sample() -> None:
            for name, value in memories(server, tracking, "idle").items():
                peak[name] = max(peak[name], value)

        for name, way in WAYS.items():
            for clients in CLIENTS:
                measured[f"{name}, {clients} clients, points/s"] = rate(server, way, clients, sample)
        return measured | {name.replace("idle", "most under load"): value for name, value in peak.items()}


def memories(server: Pod, tracking: Pod, when: str) -> dict[str, float]:
    """MiB of either container; the bare tracking server is two processes."""
    both, remote = memory(server), memory(server, within=tracking.pid)
    return {f"web server, {when}, MiB": both - remote, f"tracking server, {when}, MiB": remote}


def main() -> None:
    """Measure both in turns, on an empty volume each, and print medians and their ratio."""
    ours, bare = [], []
    for turn in range(TURNS):
        with tempfile.TemporaryDirectory() as root:
            Path(root).chmod(0o755)
            ours.append(measure(own_folder(root, "ours"), bare=False))
            bare.append(measure(own_folder(root, "bare"), bare=True))
        print(f"recording: turn {turn + 1} of {TURNS}: {ours[-1]}, {bare[-1]}", file=sys.stderr)
    print("\nrecording, empty volume:                 ours     bare    ours / bare")
    for name in ours[0]:
        our, their = (statistics.median(each[name] for each in side) for side in (ours, bare))
        print(f"{name:36} {our:8.0f} {their:8.0f} {our / their:10.2f}{_wanted(name)}")


def _wanted(name: str) -> str:
    found = [f" (wanted: {wanted})" for way, wanted in WANTED.items() if name.startswith(way)]
    return found[0] if found else ""


if __name__ == "__main__":
    main()

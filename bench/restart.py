"""How long requests fail after `kubectl delete pod`, idle: this state of the project beside a former one, in turns.

Runs on the cluster of KUBECONFIG, with one image and storage of its default class for both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.load import CHEAP
from tests.e2e import kube
from tests.e2e.conftest import instance
from tests.e2e.kube import Client

FORMER = "53ba302"
"""A commit: the last one whose probes had the web server's own port, and whose processes each imported Aim."""

ROUNDS = 5


def former(folder: Path) -> Path | None:
    """The sources of the former state; None where this clone is too shallow to have it."""
    archive = ["git", "archive", FORMER, "main.py", "app", "constructs_lib", "imports"]
    found = subprocess.run(archive, cwd=kube.ROOT, check=False, capture_output=True)
    if found.returncode:
        return None
    subprocess.run(["tar", "-x", "-C", folder], input=found.stdout, check=True)
    return folder


def start(namespace: str, sources: Path, folder: Path) -> None:
    """Start a server in a namespace, and a client beside it."""
    content = instance(namespace, {"size": "1Gi", "dynamic": {}})
    kube.kubectl("apply", "-f", kube.synthesized(folder, sources, aim=content))
    kube.ready(namespace)
    Client(namespace=namespace).start()


def outage(namespace: str) -> float:
    """Delete the pod; for how many seconds requests fail until another one answers."""
    client = Client(namespace=namespace)
    with client.running(kube.POLL, f"http://aim.{namespace}.svc{CHEAP}", stdin=True) as polling:
        time.sleep(2)
        name = kube.server_pod(namespace)["metadata"]["name"]
        kube.kubectl("delete", "pod", "-n", namespace, name)
        kube.ready(namespace)
        time.sleep(2)
        return kube.outage(polling)


def measure(sources: dict[str, Path], folder: Path) -> dict[str, list[float]]:
    """Outages of each state, in turns: both are there all the time, and idle."""
    measured: dict[str, list[float]] = {name: [] for name in sources}
    with kube.namespaces(len(sources)) as names:
        places = dict(zip(sources, names, strict=True))
        for name, namespace in places.items():
            (folder / name).mkdir()
            start(namespace, sources[name], folder / name)
        for turn in range(ROUNDS):
            for name, namespace in places.items():
                measured[name].append(outage(namespace))
            print(f"restart: turn {turn + 1} of {ROUNDS}", file=sys.stderr)
    kube.gone()
    return measured


def main() -> None:
    """Measure in turns, and print medians and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sources").mkdir()
        found = former(folder / "sources")
        if not found:
            print(f"\nrestart: not measured, as commit {FORMER} is not in this clone: git fetch --unshallow")
            return
        measured = measure({"now": kube.ROOT, "former": found}, folder)
    now, before = (statistics.median(each) for each in measured.values())
    print(f"\nrestart, idle, {ROUNDS} turns                   now   former    now / former")
    print(f"requests fail after kubectl delete, s {now:8.2f} {before:8.2f} {now / before:10.2f} (wanted: 0.60)")


if __name__ == "__main__":
    main()

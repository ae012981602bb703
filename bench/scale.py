"""A repository of thousands of runs: the pod of `dist/` beside the command of Aim's own guide, on the same volume."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from bench.load import CHEAP
from bench.serving import load, manifests, memory
from bench.store import store
from tests.e2e.guide import COMMAND
from tests.harness.aim_environment import PYTHON, ROOT
from tests.harness.sandbox import Pod, running, wait_for

GUIDE = f'ulimit -Sn "$(ulimit -Hn)"; {COMMAND}'
"""With the usual limit of 1,024 open files, it answers every request with 500 after the first search."""

RUNS = int(os.environ.get("RUNS") or 2000)
ROUNDS = 10
CLOCK = os.sysconf("SC_CLK_TCK")


def search(kind: str, query: str, *parameters: str) -> str:
    """Path of a search."""
    return f"/api/runs/search/{kind}/?" + "&".join([f"q={quote(query)}", *parameters])


BY_NUMBER = search("run", "run.hparams.number >= 0")
FEW = search("run", "run.hparams.number < 2")
METRIC = search("metric", 'metric.name == "loss"', "p=50")
PAGE = [
    "/api/projects/",
    "/api/projects/pinned-sequences/",
    "/api/projects/params/?sequence=metric",
    search("run", "", "limit=45"),
]
"""What the page of runs asks for."""

MIX = [*PAGE, BY_NUMBER, FEW, METRIC, "/api/projects/activity/", "/api/experiments/"]


class Processes:
    """The processes of a pod, as this side sees them."""

    def __init__(self, server: Pod) -> None:
        self._server = server

    def __iter__(self) -> Iterator[Path]:
        """Give the folder in /proc of each."""
        left = [self._server.pid]
        while left:
            process = Path(f"/proc/{left.pop()}")
            with contextlib.suppress(OSError):
                for task in (process / "task").iterdir():
                    left += map(int, (task / "children").read_text(encoding="ascii").split())
                yield process

    def cpu_seconds(self) -> float:
        """Of all of them, so far."""
        ticks = 0
        for process in self:
            fields = (process / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / CLOCK

    def threads(self) -> int:
        """Of all of them."""
        return sum(len(list((process / "task").iterdir())) for process in self)

    def most_files(self) -> int:
        """Open files of the one that has most."""
        return max(len(list((process / "fd").iterdir())) for process in self)


def found(server: Pod) -> int:
    """How many runs a search finds."""
    path = search("run", "run.hparams.number >= 0", "exclude_params=true", "exclude_traces=true")
    answer = server.get(f"{path}&report_progress=false", timeout=300) or ""
    return len(set(re.findall(r"[0-9a-f]{24}", answer)))


def adopt(server: Pod, processes: Processes, begin: float) -> dict[str, float]:
    """Seconds until every run of a repository without an index is found, and threads meanwhile."""
    most, stopping = [0], threading.Event()

    def sample() -> None:
        while not stopping.wait(0.1):
            with contextlib.suppress(OSError):
                most[0] = max(most[0], processes.threads())

    sampling = threading.Thread(target=sample)
    sampling.start()
    server.await_ready(CHEAP, seconds=300)
    first = time.perf_counter() - begin
    wait_for(lambda: found(server) == RUNS, seconds=600, still=server)
    seconds = time.perf_counter() - begin
    stopping.set()
    sampling.join()
    return {"no index: first 200, s": first, "no index: all runs found, s": seconds, "threads meanwhile": most[0]}


def ask(server: Pod, processes: Processes) -> dict[str, float]:
    """The server with its index: a page, searches, and what stays of them."""
    measured = {"page of runs, first time, s": sum(load(server, "each", *PAGE))}
    pages = [load(server, "each", *PAGE) for _ in range(6)]
    measured["page of runs, s"] = statistics.median(map(sum, pages))
    measured["of that, /api/projects/, s"] = statistics.median(page[0] for page in pages)
    measured["memory after pages, MiB"] = memory(server)
    for name, path in {"all runs by a parameter": BY_NUMBER, "2 runs by one": FEW, "one metric of all": METRIC}.items():
        measured[f"{name}, s"] = statistics.median(load(server, "each", path, path, path))
        if path != FEW:
            measured[f"{name}, beside small calls, s"] = load(server, "beside", path)[0]
    beside = load(server, "searches", METRIC, "15")
    measured["small calls beside 3 searches, p99, ms"] = beside["probe p99 ms"]
    rounds = []
    for _ in range(ROUNDS):
        load(server, "each", *MIX)
        rounds.append(memory(server))
    measured |= {"memory after a mix, MiB": rounds[0], "after ten such rounds, MiB": rounds[-1]}
    time.sleep(3)
    return measured | {"open files of a process, idle": processes.most_files()}


def idle(processes: Processes, seconds: float = 20) -> dict[str, float]:
    """What a pod costs that nobody asks anything."""
    begin = processes.cpu_seconds()
    time.sleep(seconds)
    return {"idle, % of a core": 100 * (processes.cpu_seconds() - begin) / seconds}


def measure(command: str | None, volume: Path) -> dict[str, float]:
    """One life of a server on a volume with runs and without an index."""
    shutil.rmtree(volume / ".aim/meta/index", ignore_errors=True)
    begin = time.perf_counter()
    with running(manifests(command), volume) as server:
        processes = Processes(server)
        measured = adopt(server, processes, begin)
        time.sleep(10)
        measured |= idle(processes)
        measured["idle, MiB"] = memory(server)
        measured |= ask(server, processes)
    return measured


def looks(volume: Path) -> int:
    """Calls to the file system of the indexer in ten idle seconds; the index is made by another user, and removed."""
    script = ROOT / "tests/supervisor/roles.py"
    command = [str(PYTHON), str(script), "counted_index", str(volume)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            calls = re.search(r'"calls": (\d+)', line)
            if calls:
                process.kill()
                process.wait()
                shutil.rmtree(volume / ".aim/meta/index")
                return int(calls[1])
    raise RuntimeError("the indexer has ended")


def main() -> None:
    """Measure both on the same volume, and print them and their ratio."""
    volume = store(RUNS)
    ours = measure(None, volume)
    print("scale: ours measured, now the guide's command", file=sys.stderr)
    guide = measure(GUIDE, volume)
    print(f"\n{RUNS} runs, two workers:                      ours    guide    ours / guide")
    for name, value in ours.items():
        print(f"{name:42} {value:8.2f} {guide[name]:8.2f} {value / guide[name]:10.2f}")
    calls = looks(volume), looks(store(200))
    print("calls of the indexer to the file system in ten idle seconds: {}, with 200 runs {}".format(*calls))


if __name__ == "__main__":
    main()

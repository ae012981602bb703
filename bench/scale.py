"""A repository of thousands of runs: the pod of `dist/` beside the command of Aim's own guide, on the same volume.

In parts of some minutes each, so that one can be measured alone: `make bench RUNS=2000 PART=search`, of PARTS below.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.load import CHEAP
from bench.processes import Processes, share
from bench.serving import load, manifests, memory, own_folder
from bench.store import store
from tests.e2e.guide import COMMAND
from tests.harness.aim_environment import PYTHON, ROOT
from tests.harness.sandbox import Pod, running, wait_for

GUIDE = f'ulimit -Sn "$(ulimit -Hn)"; {COMMAND}'
"""With the usual limit of 1,024 open files, it answers every request with 500 after the first search."""

RUNS = int(os.environ.get("RUNS") or 2000)
ROUNDS, ROUNDS_BARE = 10, 3
LONGEST = 180.0
"""Seconds to wait for runs to be found: Aim's own indexer may have died, and then they never are."""

IDLE_SECONDS = 45
POINT_SECONDS = 10
"""Between two points of a run that is being recorded: the next one is that far away at most."""

NAN = math.nan

Measured = dict[str, float]


def search(kind: str, query: str, *parameters: str) -> str:
    """Path of a search."""
    return f"/api/runs/search/{kind}/?" + "&".join([f"q={quote(query)}", *parameters])


BY_NUMBER = search("run", "run.hparams.number >= 0")
FEW = search("run", "run.hparams.number < 2")
METRIC = search("metric", 'metric.name == "loss"', "p=50")
SEARCHES = {"all runs by a parameter": BY_NUMBER, "2 runs by one": FEW, "one metric of all": METRIC}
PAGE = [
    "/api/projects/",
    "/api/projects/pinned-sequences/",
    "/api/projects/params/?sequence=metric",
    search("run", "", "limit=45"),
]
"""What the page of runs asks for."""

MIX = [*PAGE, BY_NUMBER, FEW, METRIC, "/api/projects/activity/", "/api/experiments/"]


def found(server: Pod) -> int:
    """How many runs a search finds."""
    path = search("run", "run.hparams.number >= 0", "exclude_params=true", "exclude_traces=true")
    answer = server.get(f"{path}&report_progress=false", timeout=60) or ""
    return len(set(re.findall(r"[0-9a-f]{24}", answer)))


def await_all(server: Pod, *, since: float) -> float:
    """Wait until every run is found; seconds since a moment, or nan where that takes too long.

    Twice in a row: until there is an index, Aim alone reads all runs, and then it finds those of the index only.
    """
    first = 0.0
    while time.perf_counter() - since < LONGEST:
        if found(server) < RUNS:
            first = 0.0
        elif first:
            return first
        else:
            first = time.perf_counter() - since
            time.sleep(1)
        time.sleep(0.2)
    return NAN


def await_answer(server: Pod, *, since: float) -> float:
    """Wait for the first 200; seconds since a moment, or nan where that takes too long."""
    waited = time.perf_counter() - since
    return waited + seconds_until(server, lambda: server.get(CHEAP, timeout=20))


def each(server: Pod, *paths: str) -> list[float]:
    """Seconds of one question after the other; nan where one was not answered, or not with 200."""
    return answered(server, "each", *paths) or [NAN] * len(paths)


def answered(server: Pod, kind: str, *options: str) -> Any:
    """What a load measured; None where it failed, as Aim alone may under it."""
    try:
        return load(server, kind, *options)
    except subprocess.CalledProcessError as error:
        print(f"scale: not answered: {error.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None


@contextlib.contextmanager
def serving(command: str | None, volume: Path, *, indexed: bool = True) -> Iterator[tuple[Pod, Processes]]:
    """Run a server on a volume, and wait until it finds every run."""
    with running(manifests(command), volume) as server:
        if indexed:
            begin = time.perf_counter()
            await_answer(server, since=begin)
            await_all(server, since=begin)
            time.sleep(5)
        yield server, Processes(server)


def adopt(command: str | None) -> Measured:
    """A repository without an index: seconds until every run is found, and threads meanwhile."""
    volume = store(RUNS)
    shutil.rmtree(volume / ".aim/meta/index", ignore_errors=True)
    begin = time.perf_counter()
    with serving(command, volume, indexed=False) as (server, processes), processes.most_threads() as most:
        first = await_answer(server, since=begin)
        seconds = await_all(server, since=begin)
    return {"first 200, s": first, "all runs found, s": seconds, "threads meanwhile": most[0]}


def page(command: str | None) -> Measured:
    """The page of runs, and what stays of it and of a mix of searches."""
    with serving(command, store(RUNS)) as (server, processes):
        measured = {"idle, MiB": memory(server), "page, first time, s": sum(each(server, *PAGE))}
        pages = [each(server, *PAGE) for _ in range(4)]
        measured["page, s"] = statistics.median(map(sum, pages))
        measured["of that, /api/projects/, s"] = statistics.median(seconds[0] for seconds in pages)
        measured["after pages, MiB"] = memory(server)
        rounds = []
        for _ in range(ROUNDS_BARE if command else ROUNDS):
            each(server, *MIX)
            rounds.append(memory(server))
        measured |= {"after a mix, MiB": rounds[0], "most of all rounds, MiB": max(rounds)}
        measured["last round, MiB"] = rounds[-1]
        time.sleep(3)
        return measured | {"open files of a process, idle": processes.most_files()}


def searches(command: str | None) -> Measured:
    """Searches of all runs, alone and beside small calls, and small calls beside them."""
    measured: Measured = {}
    with serving(command, store(RUNS)) as (server, _):
        for name, path in SEARCHES.items():
            seconds = each(server, *[path] * (3 if command else 6))  # a worker remembers; each has to be asked first
            alone = measured[f"{name}, s"] = statistics.median(seconds)
            measured[f"{name}, first time, s"] = seconds[0]
            if path != FEW:
                beside = answered(server, "beside", path) or [NAN]
                measured[f"{name}, beside small calls / alone"] = beside[0] / alone
        probes = answered(server, "searches", METRIC, "15") or {}
        for part in ("p50", "p99"):
            measured[f"small calls beside 3 searches, {part}, ms"] = probes.get(f"probe {part} ms", NAN)
    return measured


def idle(command: str | None) -> Measured:
    """What the indexer takes while nobody writes or asks anything."""
    with serving(command, store(RUNS)) as (_, processes):
        time.sleep(20)
        return {"idle indexer, % of a core": share(processes.indexer(), IDLE_SECONDS)}


def fresh(command: str | None) -> Measured:
    """A run that is recorded beside thousands: seconds until it is found, and until its next point is."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        volume = Path(root, "volume")
        subprocess.run(["cp", "--archive", store(RUNS), volume], check=True)
        with serving(command, volume) as (server, _):
            # so far apart that a slow search catches up with the points that are there
            writer = server.client("write", "--points", 6, "--pause", POINT_SECONDS)
            new, step = seconds_until(server, lambda: has_point(server, 0)), 1
            while has_point(server, step):
                step += 1
            point = seconds_until(server, lambda: has_point(server, step))
            run, _ = writer.communicate()
            ended = f'run.hash == "{json.loads(run)["hash"]}" and run.end_time'
            end = seconds_until(server, lambda: finds(server, "run", ended))
            return {"new run, s": new, "next point, s": point, "end of a run, s": end}


def seconds_until(server: Pod, condition: Callable[[], object]) -> float:
    """Seconds until something holds; nan where that takes too long."""
    begin = time.perf_counter()
    with contextlib.suppress(AssertionError):
        wait_for(condition, seconds=LONGEST, still=server)
        return time.perf_counter() - begin
    return NAN


def has_point(server: Pod, step: int) -> bool:
    """Whether a search finds the run that is being recorded, with a point."""
    query = f'run.experiment == "test" and metric.name == "loss" and metric.last_step >= {step}'
    return finds(server, "metric", query)


def finds(server: Pod, kind: str, query: str) -> bool:
    """Whether a search finds anything."""
    path = search(kind, query, "p=1", "exclude_params=true", "report_progress=false")
    return bool((server.get(path, timeout=60) or "").strip())


def empty(command: str | None) -> Measured:
    """An empty volume: seconds to the first answer, and memory of two workers, idle."""
    firsts, idles = [], []
    for turn in range(3):
        with tempfile.TemporaryDirectory() as root:
            Path(root).chmod(0o755)
            begin = time.perf_counter()
            with running(manifests(command), own_folder(root, f"turn-{turn}")) as server:
                server.await_ready(CHEAP)
                firsts.append(time.perf_counter() - begin)
                time.sleep(3)
                idles.append(memory(server))
    first, memory_of_two = statistics.median(firsts), statistics.median(idles)
    return {"empty volume: first 200, s": first, "empty volume: idle, MiB": memory_of_two}


def looks(runs: int) -> int:
    """Calls of the indexer to the file system in ten idle seconds; the index is another user's, and removed."""
    volume = store(runs)
    script = ROOT / "tests/supervisor/roles.py"
    command = [str(PYTHON), str(script), "counted_index", str(volume), "--after", "60"]
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


PARTS: dict[str, Callable[[str | None], Measured]] = {
    "adopt": adopt,
    "page": page,
    "search": searches,
    "idle": idle,
    "fresh": fresh,
    "empty": empty,
}

WANTED: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "all runs found, s": ("< 10", lambda ours, _: ours < 10),
    "threads meanwhile": ("< 64", lambda ours, _: ours < 64),
    "page, s": ("< 0.3", lambda ours, _: ours < 0.3),
    "most of all rounds, MiB": ("<= 350", lambda ours, _: ours <= 350),
    "open files of a process, idle": ("< 100", lambda ours, _: ours < 100),
    "all runs by a parameter, s": ("< 0.5", lambda ours, _: ours < 0.5),
    "one metric of all, s": ("< 0.6 of bare", lambda ours, bare: ours < 0.6 * bare),
    "one metric of all, beside small calls / alone": ("< 1.3", lambda ours, _: ours < 1.3),
    "small calls beside 3 searches, p99, ms": ("< 30", lambda ours, _: ours < 30),
    "idle indexer, % of a core": ("< 0.6", lambda ours, _: ours < 0.6),
    "new run, s": ("seconds", lambda ours, _: ours < 15),
    "next point, s": (f"{POINT_SECONDS} + seconds", lambda ours, _: ours < POINT_SECONDS + 5),
    "end of a run, s": ("seconds", lambda ours, _: ours < 15),
    "empty volume: first 200, s": ("<= 0.6 of bare", lambda ours, bare: ours <= 0.6 * bare),
    "empty volume: idle, MiB": ("<= 0.65 of bare", lambda ours, bare: ours <= 0.65 * bare),
}
"""Rows that have a bound, and whether it holds for ours and bare."""


def show(part: str, ours: Measured, bare: Measured) -> None:
    """Print the rows of a part."""
    print(f"\n{part}, {RUNS} runs, two workers: ".ljust(50) + "    ours     bare  ours/bare  wanted")
    for name, value in ours.items():
        other = bare.get(name, NAN)
        wanted, holds = WANTED.get(name, ("", None))
        verdict = f"{wanted:16} {'holds' if holds(value, other) else 'DOES NOT HOLD'}" if holds else ""
        print(f"{name:49} {value:8.2f} {other:8.2f} {value / other if other else NAN:10.2f}  {verdict}", flush=True)


def main() -> None:
    """Measure each part of PART, or all of them, for ours and for bare, and print them."""
    for name in os.environ.get("PART", "").split() or [*PARTS, "looks"]:
        if name == "looks":
            calls = looks(RUNS), looks(200)
            print("\ncalls of the indexer to the file system in ten idle seconds: {}, with 200 runs {}".format(*calls))
            continue
        ours = PARTS[name](None)
        print(f"scale: {name}: ours measured, now the guide's command", file=sys.stderr)
        show(name, ours, PARTS[name](GUIDE))


if __name__ == "__main__":
    main()

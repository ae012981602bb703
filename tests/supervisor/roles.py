"""What tests have the supervisor, or a client, do to a repository: `python roles.py index <volume>`.

Runs in Aim's environment, so it imports nothing of the tests.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "constructs_lib"))

from supervisor import Refusal
from supervisor.index import Status, index
from supervisor.repository import prepare


def tell(**facts: Any) -> None:
    """Print a line of JSON among the lines of the log."""
    print(json.dumps(facts), flush=True)


def run_prepare(options: argparse.Namespace) -> None:
    """Prepare a repository."""
    prepare(options.volume)
    tell(prepared=True)


def run_index(options: argparse.Namespace) -> None:
    """Prepare and index until SIGTERM; tell when it is ready, and each status."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    prepare(options.volume)
    index(options.volume, ready=lambda: tell(ready=True), progress=tell_status, stopping=stopping)


def tell_status(status: Status) -> None:
    """Print a status, with the number of threads."""
    tell(**dataclasses.asdict(status), threads=len(list(Path("/proc/self/task").iterdir())))


def run_hung_index(options: argparse.Namespace) -> None:
    """Index on a file system that hangs as soon as a run is looked at."""
    import supervisor.index
    from supervisor.patches.indexing import Index

    supervisor.index.HUNG_SECONDS = 2
    Index.checksum = lambda *_: time.sleep(3600)
    run_index(options)


def run_counted_index(options: argparse.Namespace) -> None:
    """Index, and count what is asked of the file system in ten seconds without work."""
    calls: Counter[str] = Counter()
    for name in ("stat", "lstat", "listdir", "scandir", "open"):
        setattr(os, name, counting(calls, name, getattr(os, name)))
    threading.Timer(options.after, calls.clear).start()
    threading.Timer(options.after + 10, lambda: tell(calls=sum(calls.values()))).start()
    run_index(options)


def counting(calls: Counter[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `os` that counts its calls."""

    def counted(*arguments: Any, **more: Any) -> Any:
        calls[name] += 1
        return function(*arguments, **more)

    return counted


def run_indexed(options: argparse.Namespace) -> None:
    """Print what the index has of each run: its parameter `number`, and whether it has ended."""
    from aim.storage.rockscontainer import RocksContainer

    container = RocksContainer(f"{options.volume}/.aim/meta/index", read_only=True, skip_read_optimization=True)
    runs = container.tree().collect(()).get("meta", {}).get("chunks", {})
    found = {run: [tree.get("attrs", {}).get("number"), bool(tree.get("end_time"))] for run, tree in runs.items()}
    tell(indexed=found)


def run_resume(options: argparse.Namespace) -> None:
    """Open a run again, change its parameter `number`, and end it."""
    import aim

    run = aim.Run(options.run, repo=str(options.volume), log_system_params=False)
    run["number"] = options.number
    run.close()


def run_hold(options: argparse.Namespace) -> None:
    """Begin a run, and change its parameter `number` whenever a line comes in; its end is that of this process."""
    import aim

    quiet: dict[str, Any] = {"system_tracking_interval": None, "capture_terminal_logs": False}
    run = aim.Run(repo=str(options.volume), log_system_params=False, **quiet)
    run["number"] = 0
    tell(run=run.hash)
    for line in sys.stdin:
        run["number"] = int(line)
        tell(number=int(line))


def run_close_lost(options: argparse.Namespace) -> None:
    """Look for lost runs three times, as the indexer does with a pause in between."""
    from supervisor.patches.lost_runs import LostRuns

    lost = LostRuns(options.volume / ".aim")
    for _ in range(3):
        lost.close({path.name for path in (options.volume / ".aim/meta/progress").iterdir()})


def run_close_while_deleted(options: argparse.Namespace) -> None:
    """End a run that is deleted while its points are looked at."""
    from aim.sdk.repo import Repo
    from supervisor import trash
    from supervisor.patches import lost_runs

    lost_runs.torn_points = lambda *_, **__: len(trash.put(options.volume, options.run)) - 1
    tell(problem=lost_runs.end_run(Repo.from_path(str(options.volume)), options.run, time.time())[1])


def run_torn(options: argparse.Namespace) -> None:
    """Remove half-written points of a run, as whoever closes it does."""
    from supervisor.patches.points import torn_points

    tell(torn=torn_points(options.volume / ".aim", options.run, remove=True))


def run_churn(options: argparse.Namespace) -> None:
    """Begin, end, resume and delete runs for some seconds, as trainers and users do; `number` seeds the choice."""
    import aim
    from aim.sdk.repo import Repo
    from supervisor.patches.index_readers import protect_index

    protect_index()
    mine: list[str] = []
    choice, end = random.Random(options.number), time.monotonic() + options.seconds
    while time.monotonic() < end:
        action = choice.choice(["begin", "begin", "resume", "delete"]) if mine else "begin"
        if action == "delete":
            Repo.from_path(str(options.volume)).delete_run(mine.pop(choice.randrange(len(mine))))
            continue
        again = choice.choice(mine) if action == "resume" else None
        time.sleep(0.6)  # Aim lists the runs that can be resumed twice a second
        run = aim.Run(again, repo=str(options.volume), log_system_params=False, system_tracking_interval=None)
        run["number"] = choice.randrange(1_000_000)
        for step in range(choice.randrange(20)):
            run.track(step, name="loss")
        # Aim stops its thread for check-ins without a lock: if the thread ends too early, `close` waits for ever
        reporter, run._resources._checkins = run._checkins, None
        run.close()
        reporter.stop_signal.set()
        mine = [*mine, run.hash] if not again else mine
    tell(churned=len(mine))


def run_compare(options: argparse.Namespace) -> None:
    """Tell which runs the index has another content of than their folders, does not have, or has without a folder."""
    from aim.storage.encoding import encode_path
    from aim.storage.rockscontainer import RocksContainer

    def content(path: Path, run: str) -> dict[bytes, bytes]:
        container = RocksContainer(str(path), read_only=True, skip_read_optimization=True)
        return {key: bytes(value) for key, value in container.items(encode_path(("meta", "chunks", run)))}

    meta = options.volume / ".aim/meta"
    # a trainer that was killed while it made a run has left an empty folder
    runs = {path.parent.name for path in (meta / "chunks").glob("*/CURRENT")}
    index = RocksContainer(str(meta / "index"), read_only=True, skip_read_optimization=True).tree()
    indexed = set(index.subtree(("meta", "chunks")).keys())
    other = {run for run in runs & indexed if content(meta / "index", run) != content(meta / "chunks" / run, run)}
    tell(other=sorted(other), missing=sorted(runs - indexed), ghosts=sorted(indexed - runs))


def run_hold_index(options: argparse.Namespace) -> None:
    """Hold the lock of the index, as a second indexer does."""
    from supervisor.patches.indexing import Index

    with Index(options.volume / ".aim").opened(10):
        tell(held=True)
        time.sleep(600)


def run_hold_creation_lock(options: argparse.Namespace) -> None:
    """Hold the lock that Aim holds while it initialises a repository, until a line comes in."""
    from filelock import SoftFileLock

    with SoftFileLock(str(options.volume / ".aim/locks/structured_db_lock")):
        tell(held=True)
        sys.stdin.readline()


def run_delete(options: argparse.Namespace) -> None:
    """Delete a run, as a worker of the web server does."""
    from aim.sdk.repo import Repo
    from supervisor.patches.index_readers import protect_index

    if options.protected:
        protect_index()
    tell(deleted=Repo.from_path(str(options.volume)).delete_run(options.run))


def run_begin(options: argparse.Namespace) -> None:
    """Leave of a run what a trainer leaves that is killed as it begins: a row, and parameters without anything."""
    from aim.sdk.repo import Repo

    repository = Repo.from_path(str(options.volume))
    repository.request_tree("meta", options.run, read_only=False)
    repository.request_props(options.run, read_only=False)
    tell(begun=True)


def run_tear(options: argparse.Namespace) -> None:
    """Remove the step of the first point of a run: a trainer that is killed in between leaves such a point."""
    from aim.sdk.repo import Repo

    repository = Repo.from_path(str(options.volume))
    contexts = repository.request_tree("seqs", options.run, read_only=False).subtree(
        ("seqs", "v2", "chunks", options.run)
    )
    (context,) = [each for each in [*contexts.keys()] if "loss" in [*contexts.subtree(each).keys()]]
    steps = contexts.subtree((context, "loss", "step"))
    (first,) = [key for key, step in steps.items() if step == 0]
    del steps[first]
    tell(torn=True)


def run_name(options: argparse.Namespace) -> None:
    """Give a run a parameter that no other has."""
    import aim

    run = aim.Run(options.run, repo=str(options.volume), log_system_params=False)
    run["only-here"] = 1
    run.close()


def run_end_time(options: argparse.Namespace) -> None:
    """Tell when a run has ended, in seconds since the epoch."""
    import aim

    tell(end_time=aim.Run(options.run, repo=str(options.volume), read_only=True).end_time)


def run_artifact(options: argparse.Namespace) -> None:
    """Log a file as an artifact of a run, to a folder of the volume."""
    import aim

    run = aim.Run(options.run, repo=str(options.volume), log_system_params=False)
    run.set_artifacts_uri(f"file://{options.volume}/artifacts")
    run.log_artifact(__file__, name="code", block=True)
    run.close()


def run_artifacts(options: argparse.Namespace) -> None:
    """Tell where the artifacts of a run are."""
    import aim

    run = aim.Run(options.run, repo=str(options.volume), read_only=True)
    tell(artifacts=[artifact.uri for artifact in run.artifacts.values()])


def run_track_only(options: argparse.Namespace) -> None:
    """Record a metric and three texts, without any parameter."""
    import aim

    run = aim.Run(repo=str(options.volume), capture_terminal_logs=False, system_tracking_interval=None)
    for step in range(3):
        run.track(step, name="loss", step=step)
        run.track(aim.Text(f"text {step}"), name="texts", step=step, epoch=step)
    tell(run=run.hash)
    run.close()


def run_tear_text(options: argparse.Namespace) -> None:
    """Remove what Aim writes last of a text of a run; the number is its step."""
    from aim.sdk.repo import Repo

    texts = Repo.from_path(str(options.volume)).request_tree("seqs", options.run, read_only=False)
    contexts = texts.subtree(("seqs", "chunks", options.run))
    context = next(iter(contexts.keys()))
    for column in ("epoch", "time"):
        del contexts.subtree((context, "texts", column))[options.number]
    tell(torn=True)


def run_texts(options: argparse.Namespace) -> None:
    """Tell the texts of a run, each with its step and its epoch."""
    import aim
    from aim.sdk.sequences.text_sequence import Texts
    from aim.storage.context import Context

    texts = Texts("texts", Context({}), aim.Run(options.run, repo=str(options.volume), read_only=True))
    tell(texts=[[step, values[0].data, values[1]] for step, values in texts.data.items()])


def run_former(options: argparse.Namespace) -> None:
    """Give a run a metric in the form of former versions of Aim, of which no point has a time."""
    from aim.sdk.repo import Repo

    repository, points = Repo.from_path(str(options.volume)), [float(number) for number in range(10)]
    parameters = repository.request_tree("meta", options.run, read_only=False).subtree(("meta", "chunks", options.run))
    sequences = repository.request_tree("seqs", options.run, read_only=False).subtree(("seqs", "chunks", options.run))
    context = next(iter(parameters.subtree("traces").keys()))
    for column in ("val", "epoch", "time"):
        array = sequences.subtree((context, "former")).array(column).allocate()
        for number, point in enumerate(points if column != "time" else []):
            array[number] = point
    parameters["traces", context, "former"] = {"dtype": "float", "first_step": 0, "last_step": 9, "version": 1}
    tell(points=points)


def run_former_values(options: argparse.Namespace) -> None:
    """Tell the values of that metric."""
    from aim.sdk.repo import Repo

    sequences = Repo.from_path(str(options.volume)).request_tree("seqs", options.run, read_only=True)
    contexts = sequences.subtree(("seqs", "chunks", options.run))
    (context,) = [each for each in [*contexts.keys()] if "former" in [*contexts.subtree(each).keys()]]
    tell(values=contexts.subtree((context, "former")).array("val").values_list())


def run_values(options: argparse.Namespace) -> None:
    """Tell the points of a run, as Aim pairs steps and values."""
    import aim

    run = aim.Run(options.run, repo=str(options.volume), read_only=True)
    (metric,) = [each for each in run.metrics() if each.name == "loss"]
    steps, (values, *_) = metric.data.items_list()
    tell(values=[*zip(steps, values)])  # noqa: B905  # of Python 3.10


def run_read(options: argparse.Namespace) -> None:
    """List runs by the index, as a search does; again and again where told so, until SIGTERM."""
    from aim.sdk.repo import Repo
    from supervisor.patches.index_readers import protect_index

    if options.protected:
        protect_index()
    repository = Repo.from_path(str(options.volume))
    while True:
        tell(read=list(repository.meta_tree.subtree("chunks").keys()))
        repository.container_pool.clear()
        if not options.again:
            return
        time.sleep(0.01)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("role")
    parser.add_argument("volume", type=Path)
    parser.add_argument("--run")
    parser.add_argument("--number", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--after", type=float, default=8)
    parser.add_argument("--protected", action="store_true")
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    try:
        globals()[f"run_{arguments.role}"](arguments)
    except Refusal as refusal:
        tell(refused=str(refusal))
        sys.stdout.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)

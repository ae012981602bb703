"""Watches what the real Aim's web application does while it answers, with this project's patches or without.

Runs in Aim's environment, with the package `supervisor` on its path; prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import gc
import importlib
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from aim_queries import request  # type: ignore[import-not-found]

PAGES = [
    ("/api/projects/", {}),
    ("/api/projects/activity/", {}),
    ("/api/projects/params/", {}),
    ("/api/projects/params/", {"sequence": "metric"}),
    ("/api/projects/pinned-sequences/", {}),
    ("/api/experiments/", {}),
    ("/api/tags/", {}),
    ("/api/runs/active/", {}),
    ("/api/runs/search/run/", {"q": "", "limit": "7"}),
    ("/api/runs/search/run/", {"q": "run.hparams.number > 3", "exclude_params": "true"}),
    ("/api/runs/search/run/", {"q": "run.name == 'run 3'", "exclude_traces": "true"}),
    ("/api/runs/search/metric/", {"q": "metric.name == 'loss'"}),
    ("/api/runs/search/metric/", {"q": "metric.last > 1", "p": "3", "x_axis": "loss"}),
    ("/api/runs/search/metric/", {"q": "run.missing == 1"}),
    ("/api/runs/search/texts/", {"q": "texts.name == 'log'"}),
    ("/api/runs/search/distributions/", {"q": "", "record_density": "2"}),
]
"""What the pages of the UI ask for."""

METRICS = {"path": "/api/runs/search/metric/", "query": "metric.name == 'loss'"}
RUNS = {"path": "/api/runs/search/run/", "query": "run.hparams.number >= 0"}
SMALL = {"path": "/api/projects/pinned-sequences/", "query": ""}
EXCLUDING = {
    "path": "/api/runs/search/metric/",
    "query": "sum(1 for n in range(20) if ('x' * 9999).split('x')) + run.hparams.number < 0 and metric.name == 'loss'",
}
"""A search that takes some milliseconds for each run, and finds none."""


def write(options: argparse.Namespace) -> None:
    """Make a repository of runs, index all but two of them, and bring the interface's database up to date."""
    import aim
    from aim.cli.utils import build_db_upgrade_command
    from aim.sdk.index_manager import RepoIndexManager
    from aim.sdk.repo import Repo
    from alembic.config import main as alembic

    repository, made = Repo.from_path(options.repository, init=True), []
    for number in range(options.runs):
        run = aim.Run(repo=repository, experiment=f"e{number % 3}", log_system_params=False)
        run.name, run["hparams"] = f"run {number}", {"number": number}
        run.add_tag(f"t{number % 4}")
        for step in range(4):
            run.track(step * number, name="loss", step=step)
            run.track(step, name="accuracy", step=step, context={"subset": "val"})
        if number % 10 == 0:
            run.track(aim.Text("hello"), name="log")
            run.track(aim.Distribution(list(range(5))), name="weights")
        run.close()
        made.append(run.hash)
    indexer = RepoIndexManager.get_index_manager(repository)
    for run_hash in made[:-2]:
        indexer.index(run_hash)
    alembic(argv=build_db_upgrade_command()[3:])
    print(json.dumps(made))


def change(options: argparse.Namespace) -> None:
    """Resume a run and end it again, with another parameter and another point, and index it."""
    import aim

    run = aim.Run(options.late, repo=options.repository, log_system_params=False)
    run["hparams"] = {"number": 1, "text": "another"}
    run.track(47.11, name="loss", step=4711)
    run.close()
    index(options)


def index(options: argparse.Namespace) -> None:
    """Index a run, as the indexer of the server does."""
    from aim.sdk.index_manager import RepoIndexManager
    from aim.sdk.repo import Repo

    RepoIndexManager.get_index_manager(Repo.from_path(options.repository)).index(options.late)


class Watch:
    """Counts what is opened, read and slept."""

    def __init__(self) -> None:
        import aimrocks
        from aim.storage.structured.db import ObjectCache

        self.opened: list[tuple[str, str]] = []
        self.counts: Counter[str] = Counter()
        database, fill, sleep = aimrocks.DB, ObjectCache.fill_cache, asyncio.sleep

        def open_database(path: str, *arguments: Any, **options: Any) -> Any:
            self.opened.append((path, threading.current_thread().name))
            return database(path, *arguments, **options)

        def fill_cache(cache: Any) -> None:
            self.counts["runs read"] += 1
            fill(cache)

        async def note_sleep(seconds: float, *rest: Any) -> Any:
            self.counts["slept"] += seconds > 0
            return await sleep(seconds, *rest)

        aimrocks.DB, ObjectCache.fill_cache, asyncio.sleep = open_database, fill_cache, note_sleep  # type: ignore[assignment]

    def begin(self) -> None:
        """Count from here."""
        self.opened.clear()
        self.counts.clear()

    def opened_in(self, folder: str, *, thread: str = "") -> int:
        """How many databases were opened in a folder of `.aim`, by a thread."""
        return sum(f".aim/{folder}" in path and thread in name for path, name in self.opened)


async def observe(options: argparse.Namespace, app: Any, watch: Watch) -> dict[str, Any]:
    """Ask, and look at what it took."""
    seen: dict[str, Any] = {}
    seen["pages"] = [await request(app, {"path": path, "query": "", "parameters": page}) for path, page in PAGES]
    watch.begin()
    await request(app, {"path": "/api/projects/", "query": ""})
    seen["runs opened by /api/projects/"] = watch.opened_in("meta/chunks")
    seen["stores open after it"] = _open_stores("meta/chunks/")
    watch.begin()
    await request(app, {"path": "/api/projects/params/", "query": ""})
    seen["index opened by /api/projects/params/"] = watch.opened_in("meta/index")
    seen["index open after it"] = _open_stores("meta/index/")
    watch.begin()
    found = await request(app, METRICS)
    seen["slept in a search"] = watch.counts["slept"]
    seen["stores opened ahead"] = watch.opened_in("seqs/chunks", thread="open-stores")
    seen["stores opened in turn"] = watch.opened_in("seqs/chunks", thread="MainThread")
    seen["messages"] = found["messages"]
    seen["runs read beside small requests"] = await _beside_small_requests(app, watch)
    seen["small requests answered beside a search"] = await _answered_beside(app, EXCLUDING)
    renamed, deleted = {"query": "run.name == 'new'"}, {"query": "run.name == 'run 7'"}
    change = "UPDATE run SET name = 'new' WHERE name = 'run 5'"
    seen["renamed run found"] = await _found(app, renamed, lambda: _change(options.repository, change))
    change_again = "DELETE FROM run WHERE name = 'run 7'"
    seen["deleted run found"] = await _found(app, deleted, lambda: _change(options.repository, change_again))
    late = {"query": f"run.hash == '{options.late}' and run.hparams.number > 0"}
    seen["new run found"] = await _found(app, late, lambda: _index(options))
    return seen


async def ask_again(options: argparse.Namespace, app: Any, watch: Watch) -> dict[str, Any]:
    """Search runs that have not changed for minutes again, and again after one of them was resumed."""
    found, opened = [], []
    _touch_stores(options, time.time() - 300)
    for before in (None, None, lambda: _run("change", options)):
        if before:
            before()
        watch.begin()
        found.append([(await request(app, each))["body"] for each in (METRICS, RUNS)])
        opened.append(watch.opened_in("seqs/chunks"))
    changed = [base64.b64decode(body) for body in found[2]]
    _change(options.repository, "UPDATE experiment SET name = name || ' renamed by others'")
    renamed = base64.b64decode((await request(app, RUNS))["body"])
    _change(options.repository, f"DELETE FROM run WHERE hash = '{options.late}'")  # it has ended now, not when bare did
    return {
        "stores opened by the same search, again, after a change": opened,
        "answered again as before": found[0] == found[1],
        "change found": [struct.pack("d", 47.11) in changed[0], *(b"another" in body for body in changed)],
        "renamed experiment found": [b"renamed by others" in each for each in (changed[1], renamed)],
    }


def _touch_stores(options: argparse.Namespace, changed: float) -> None:
    for run in Path(options.repository, ".aim/seqs/chunks").iterdir():
        os.utime(run, (changed, changed))


async def write_to_locked(options: argparse.Namespace, app: Any) -> dict[str, Any]:
    """Change a run while another process reads the database, so that the commit fails, and again afterwards."""
    change = {"description": "new", "archived": False}
    wanted = {"method": "PUT", "path": f"/api/runs/{options.torn}/", "query": "", "content": change}
    await request(app, RUNS)
    with contextlib.closing(sqlite3.connect(Path(options.repository, ".aim/run_metadata.sqlite"))) as database:
        database.execute("BEGIN")
        database.execute("SELECT * FROM run").fetchone()
        failed = await request(app, wanted)
    return {"writes to a locked database, and then": [failed["status"], (await request(app, wanted))["status"]]}


async def _beside_small_requests(app: Any, watch: Watch) -> int:
    """How often a search reads the runs of the database, while others ask for trifles."""
    watch.begin()
    search = asyncio.ensure_future(request(app, RUNS))
    while not search.done():
        await request(app, SMALL)
        await asyncio.sleep(0)  # a small request waits for nothing
    return watch.counts["runs read"]


async def _answered_beside(app: Any, question: dict[str, Any]) -> int:
    """How many small requests are answered while a search runs, one after the other."""
    search, answered = asyncio.ensure_future(request(app, question)), 0
    while not search.done():
        await request(app, SMALL)
        await asyncio.sleep(0)  # a small request waits for nothing
        answered += 1
    return answered


async def spend_too_much(options: argparse.Namespace, app: Any) -> dict[str, Any]:
    """Search for longer than a search may."""
    costs = vars(importlib.import_module("supervisor.patches.costs")) if options.patched else {}
    bound = costs.pop("_SEARCH_SECONDS", None)
    costs["_SEARCH_SECONDS"] = 0.01
    seen = {"costly search": (await request(app, EXCLUDING)).get("error")}
    costs["_SEARCH_SECONDS"] = bound
    return seen


async def _found(app: Any, question: dict[str, Any], change: Callable[[], None]) -> list[bool]:
    """Whether a run is found before somebody else changes it, after that while a search is on, and after the search."""
    asked = {"path": "/api/runs/search/run/", **question}
    gc.disable()  # experiments and their runs know each other, so they stay in memory until they are collected
    await request(app, {"path": "/api/experiments/", "query": ""})
    before = await request(app, asked)
    search = asyncio.ensure_future(request(app, RUNS))
    await asyncio.sleep(0.02)  # it has begun
    change()
    during = await request(app, asked)
    await search
    after = await request(app, asked)
    gc.enable()
    return [len(answer["body"]) > 0 for answer in (before, during, after)]


def _change(repository: str, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(Path(repository, ".aim/run_metadata.sqlite"))) as database:
        database.execute(statement)
        database.commit()


def _index(options: argparse.Namespace) -> None:
    _run("index", options)


def _run(action: str, options: argparse.Namespace) -> None:
    command = [sys.executable, __file__, action, options.repository, "--late", options.late]
    subprocess.run(command, check=True, capture_output=True)


def _open_stores(folder: str) -> int:
    return sum(folder in str(path.resolve()) for path in Path("/proc/self/fd").iterdir())


async def settle(options: argparse.Namespace, app: Any) -> dict[str, Any]:
    """Search everything, with the index and without, and wait until what that took is given back."""
    for question in (METRICS, RUNS, {"path": "/api/projects/", "query": ""}):
        await request(app, question)
    seen = {"stores open when idle": await _open_when_idle()}
    folder = os.path.join(options.repository, ".aim/meta/index")  # noqa: PTH118
    os.rename(folder, f"{folder}.away")  # noqa: PTH104
    await request(app, RUNS)
    seen["stores open when idle without an index"] = await _open_when_idle()
    shutil.rmtree(folder, ignore_errors=True)  # RocksDB makes a folder for its log where there is no index
    os.rename(f"{folder}.away", folder)  # noqa: PTH104
    return seen


async def _open_when_idle() -> int:
    for _ in range(40):
        if not _open_stores("/chunks/"):
            break
        await asyncio.sleep(0.2)
    return _open_stores("/chunks/")


async def look_at_readability(options: argparse.Namespace, app: Any) -> dict[str, Any]:
    """Ask whether there are runs that cannot be read; then break one that is not indexed, and ask again."""
    warnings = [await _warns(app)]
    _cut(Path(options.repository, ".aim/meta/chunks", options.broken))
    warnings += [await _warns(app), await _warns(app)]
    _cut(Path(options.repository, ".aim/seqs/chunks", options.torn))
    return {"warnings": warnings, "search of a torn store": await request(app, METRICS)}


def _cut(run: Path) -> None:
    """Damage a run, as a full disk does."""
    manifest = next(run.glob("MANIFEST-*"))
    manifest.write_bytes(manifest.read_bytes()[:7])
    os.utime(run)


async def _warns(app: Any) -> bool:
    answer = await request(app, {"path": "/api/projects/", "query": ""})
    return bool(json.loads(base64.b64decode(answer["body"]))["warn_runs"])


def main(options: argparse.Namespace) -> None:
    """Watch an application."""
    if options.patched:
        from supervisor.patches.index_readers import protect_index
        from supervisor.patches.queries import restrict_queries
        from supervisor.patches.web import speed_up_web

        protect_index()
        restrict_queries()
        speed_up_web()
    watch = Watch()
    _touch_stores(options, time.time())  # or a search might remember what one before it has read
    from aim.web.run import app

    async def all_of_it() -> dict[str, Any]:
        seen = await observe(options, app, watch)
        for look in (spend_too_much, settle, partial(ask_again, watch=watch), look_at_readability, write_to_locked):
            seen |= await look(options, app)
        return seen

    print(json.dumps(asyncio.run(all_of_it())), flush=True)
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["write", "index", "change", "main"])
    parser.add_argument("repository")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--late", default="", help="a run that is not indexed")
    parser.add_argument("--broken", default="", help="another one, to be damaged")
    parser.add_argument("--torn", default="", help="a run whose sequences are to be damaged")
    parser.add_argument("--patched", action="store_true")
    arguments = parser.parse_args()
    os.environ["__AIM_UI_MOUNT_REPO_PATH__"] = arguments.repository
    globals()[arguments.action](arguments)

"""Asks the real Aim questions, many in one process, with its guard of queries or with this project's.

Runs in Aim's environment, with the package `supervisor` on its path. Questions and answers are JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import importlib
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode


def write(options: argparse.Namespace) -> None:
    """Make a repository with runs of every kind that the queries ask for, and index it as `aim up` does."""
    import aim
    from aim.cli.utils import build_db_upgrade_command
    from aim.sdk.index_manager import RepoIndexManager
    from aim.sdk.repo import Repo
    from alembic.config import main as alembic

    numpy = importlib.import_module("numpy")  # of Aim's environment only
    repository = Repo.from_path(options.repository, init=True)
    for number in range(6):
        run = aim.Run(repo=repository, experiment=["mnist", "cifar"][number % 2], log_system_params=False)
        run.name = f"run {number}"
        run.description = "a run of the tests"
        for tag in ["base", "best"][: 1 + number % 2] if number else []:
            run.add_tag(tag)
        run["hparams"] = {
            "lr": 10.0**-number,
            "batch_size": 16 << number,
            "layers": list(range(number)),
            "name": "adam",
        }
        run["hparams", "optimizer"] = {"kind": "sgd" if number % 3 else "adam", "momentum": 0.9, "container": "docker"}
        run["learning_rate"], run["batch_size"], run["note"] = 0.001 * number, 8 * number, None
        run["container"], run["db"], run["text"] = "docker", number, "lorem ipsum"
        for step in range(5):
            for subset in ("train", "val"):
                run.track(number + 1 / (step + 1), name="loss", step=step, context={"subset": subset})
            run.track(step / 5, name="accuracy", step=step)
        run.track(aim.Text("hello"), name="log", context={"subset": "val"})
        run.track(aim.Distribution(numpy.arange(9)), name="weights")
        run.track(aim.Image(numpy.zeros((4, 4), dtype="uint8")), name="generated", context={"ema": number % 2})
        run.archived = number == 5
        run.close()
    indexer = RepoIndexManager.get_index_manager(repository)
    for run_hash in repository.list_all_runs():
        indexer.index(run_hash)
    alembic(argv=build_db_upgrade_command()[3:])


def ask(options: argparse.Namespace) -> None:
    """Answer questions of the web application, in the order of standard input."""
    from aim.web.run import app

    asyncio.run(_answer(options, lambda question: request(app, question)))


def ask_tracking(options: argparse.Namespace) -> None:
    """Answer queries by methods of the repository, called over the protocol of the tracking server."""
    from aim.ext.transport.message_utils import pack_args
    from aim.ext.transport.server import create_app
    from aim.storage.treeutils import encode_tree

    app, client = create_app(), "/tracking/00000000-0000-0000-0000-000000000000"

    async def found(question: dict[str, Any]) -> dict[str, Any]:
        wanted = {"resource_type": "Repo", "resource_handler": "", "args": ""}
        got = await request(app, {"method": "POST", "path": f"{client}/get-resource/", "query": "", "content": wanted})
        called = {
            "resource_handler": json.loads(base64.b64decode(got["body"]))["handler"],
            "method_name": question["path"],
            "args": base64.b64encode(pack_args(encode_tree([question["query"]]))).decode(),
        }
        path = f"{client}/read-instruction/"
        return await request(app, {"method": "POST", "path": path, "query": "", "content": called})

    asyncio.run(_answer(options, found))


def ask_library(options: argparse.Namespace) -> None:
    """Answer queries by each of the library's methods for them; the path is the method's name."""
    from aim.sdk.repo import Repo
    from aim.sdk.types import QueryReportMode

    repository = Repo.from_path(options.repository)

    async def found(question: dict[str, Any]) -> dict[str, Any]:
        method = getattr(repository, question["path"])
        hits = list(method(question["query"], report_mode=QueryReportMode.DISABLED).iter())
        return {"status": 200, "body": "".join(map(str, hits))}

    asyncio.run(_answer(options, found))


def list_searches(_options: argparse.Namespace) -> None:
    """Print the paths of the web application that take a query."""
    from aim.web.run import app

    api = next(route for route in app.routes if route.path == "/api")
    takes = {"q"}
    paths = [
        f"/api{path}"
        for path, operations in api.app.openapi()["paths"].items()
        if takes & {parameter["name"] for parameter in operations.get("get", {}).get("parameters", ())}
    ]
    print(json.dumps(paths))


def list_methods(_options: argparse.Namespace) -> None:
    """Print the names of the library's methods that take a query."""
    from aim.sdk.repo import Repo

    methods = vars(Repo).items()
    print(json.dumps([name for name, method in methods if "query" in getattr(method, "__annotations__", ())]))


async def _answer(options: argparse.Namespace, respond: Any) -> None:
    """Answer each question, and say whether what it asks for has been run: whether there is its file."""
    canary = Path(options.repository, f"canary-{os.getpid()}")
    answers = []
    for question in json.load(sys.stdin):
        question["query"] = question["query"].replace("CANARY", str(canary))
        begin = time.monotonic()
        try:
            answer = await respond(question)
        except Exception as error:  # noqa: BLE001 (as a server, go on)
            answer = {"status": 500, "body": "", "error": repr(error)}
        answer.pop("messages", None)
        answers.append({**answer, "ran": _removed(canary)})
        if options.timed:
            answers[-1]["seconds"] = time.monotonic() - begin
    json.dump(answers, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # threads of an index or of a heartbeat do not matter


def _removed(canary: Path) -> bool:
    if not canary.exists():
        return False
    shutil.rmtree(canary) if canary.is_dir() else canary.unlink()
    return True


async def request(app: Any, question: dict[str, Any]) -> dict[str, Any]:
    """Make a request of an ASGI application, without a server in between.

    Args:
        app: the application.
        question: `path` and `query` of a GET; or also `method`, `parameters` of the URL, `headers`, and `content`;
            with `raw`, the URL has these parameters only, and the answer is as it came.
    """
    raw = question.get("raw", False)
    asks = question.get("method", "GET") == "GET" and not raw
    query = {"q": question["query"], "report_progress": "false"} if asks else {}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": question.get("method", "GET"),
        "scheme": "http",
        "path": question["path"],
        "raw_path": question["path"].encode(),
        "root_path": "",
        "query_string": urlencode({**query, **question.get("parameters", {})}).encode(),
        "headers": [(b"host", b"aim"), (b"content-type", b"application/json"), *question.get("headers", ())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    content = json.dumps(question["content"]).replace("QUERY", question["query"]) if "content" in question else ""
    incoming = [{"type": "http.request", "body": content.encode()}]
    status, body, messages = 0, b"", 0

    async def receive() -> dict[str, Any]:
        return incoming.pop() if incoming else await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, body, messages
        status = message.get("status", status)
        body += message.get("body", b"")
        messages += 1

    failure = {}
    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001 (as a server, go on)
        status, failure = status or 500, {"error": repr(error)}
    plain = body if raw else re.sub(rb"gAAAA[\w=-]+", b"(encrypted, each time anew)", body)  # addresses of images
    return {"status": status, "body": base64.b64encode(plain).decode(), "messages": messages, **failure}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("action")
    parser.add_argument("repository")
    parser.add_argument("--guarded", action="store_true")
    parser.add_argument("--timed", action="store_true")
    arguments = parser.parse_args()
    os.environ["__AIM_UI_MOUNT_REPO_PATH__"] = arguments.repository
    os.environ["__AIM_SERVER_MOUNT_REPO_PATH__"] = arguments.repository
    if arguments.guarded:
        from supervisor.patches.queries import restrict_queries

        restrict_queries()
    globals()[arguments.action](arguments)

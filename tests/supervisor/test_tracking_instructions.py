"""The tracking server takes what Aim's own client sends, and nothing else.

Each attack is run against Aim's own server as well, where it has to work: one that does not is no test of the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from examples import distributed, existing_claim, remote_tracking, report, shared_volume
from tests.harness.aim_environment import ENVIRONMENT, MISSING, ROOT
from tests.harness.sandbox import skip
from tests.supervisor.attacks import ATTACKS

HERE = Path(__file__).parent
PYTHON = ENVIRONMENT / "bin/python"
REFUSED = "refused by the tracking server, which takes runs and nothing else"


@dataclass(frozen=True, kw_only=True)
class TrackingServer:
    """A tracking server on a repository of its own, `folder/volume/.aim`."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The repository, as Aim's client knows it."""
        return f"aim://{self.address}"

    @property
    def logs(self) -> list[str]:
        """Lines that the server has written."""
        return (self.folder / "log").read_text(encoding="utf-8").splitlines()


def run(*command: object, folder: Path, **environment: str) -> str:
    """Run a program in Aim's environment; returns what it prints."""
    variables = {**os.environ, "PATH": f"{ENVIRONMENT}/bin:{os.environ['PATH']}", **environment}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def serving(folder: Path, *command: object, **environment: str) -> Iterator[TrackingServer]:
    """Run a tracking server until it is not needed any more; the command gets its port."""
    if not PYTHON.exists():
        skip(MISSING)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = TrackingServer(folder=folder, port=probe.getsockname()[1])
    (folder / "volume").mkdir()
    run(PYTHON, "-c", "import sys, aim; aim.Repo.from_path(sys.argv[1], init=True)", folder / "volume", folder=folder)
    variables = {**os.environ, "PATH": f"{ENVIRONMENT}/bin:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*map(str, command), "--port", str(server.port)],
            cwd=folder,
            env={**variables, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _await(server, process)
            yield server
        finally:
            process.kill()
            process.wait()


def _await(server: TrackingServer, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, server.logs
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{server.address}/status/", timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError(server.logs)


@contextlib.contextmanager
def bare_server(folder: Path) -> Iterator[TrackingServer]:
    """Run Aim's own tracking server."""
    command = [PYTHON, "-m", "uvicorn", "aim.ext.transport.run:app", "--host", "127.0.0.1", "--log-level", "error"]
    with serving(folder, *command, __AIM_SERVER_MOUNT_REPO_PATH__=f"{folder}/volume/.aim") as server:
        yield server


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """Aim's own tracking server, which nobody attacks."""
    with bare_server(tmp_path_factory.mktemp("bare")) as server:
        yield server


@pytest.fixture(scope="module")
def restricted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """The tracking server of the supervisor; it works as ever when it has been attacked."""
    folder = tmp_path_factory.mktemp("restricted")
    command = [PYTHON, "-m", "supervisor", "accept", "--repository", folder / "volume", "--host", "127.0.0.1"]
    with serving(folder, *command, PYTHONPATH=str(ROOT / "constructs_lib")) as server:
        yield server


def outcomes(server: TrackingServer) -> dict[str, bool]:
    """Attack a server in all ways; returns which had their effect."""
    return dict(json.loads(run(PYTHON, HERE / "attacks.py", server.address, server.folder, folder=server.folder)))


@pytest.fixture(scope="module")
def on_bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bool]:
    """The attacks' effects on Aim's own server."""
    with bare_server(tmp_path_factory.mktemp("victim")) as server:
        return outcomes(server)


@pytest.fixture(scope="module")
def on_restricted(restricted: TrackingServer) -> dict[str, bool]:
    """The attacks' effects on the supervisor's."""
    return outcomes(restricted)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_works_on_bare_aim(on_bare: dict[str, bool], name: str) -> None:
    """Or it would prove nothing that it does not work elsewhere."""
    assert on_bare[name]


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_has_no_effect(on_restricted: dict[str, bool], name: str) -> None:
    """On the server of the supervisor."""
    assert not on_restricted[name]


def test_refusals_are_logged_once_a_kind(restricted: TrackingServer, on_restricted: dict[str, bool]) -> None:
    """However many there are: whoever repeats an attack cannot fill the log."""
    assert on_restricted
    refusals = [line for line in restricted.logs if "the tracking server refuses" in line]
    assert sum("Repo.rm (instruction;" in line for line in refusals) == 1
    kinds = ("instruction", "argument", "handler", "origin", "body", "route")
    for kind in kinds:
        assert sum(f"({kind};" in line for line in refusals) == 1, kind
    assert sum("so far" in line for line in refusals) <= len(kinds)


_REFUSED_INSTRUCTIONS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from attacks import Intruder

intruder = Intruder(sys.argv[2])
repository = intruder.get("Repo")
answers = {}
for method, *arguments in json.loads(sys.argv[3]):
    answer = intruder.send(repository, method, *arguments)
    answers[method] = [answer.status_code, answer.json()["exception"]["class_name"]]
print(json.dumps(answers))
"""


def test_other_instructions_are_refused(restricted: TrackingServer) -> None:
    """By an error that Aim's client can raise; queries among them: its client evaluates those itself."""
    instructions: list[list[Any]] = [
        ["query_runs", "run.hparams.rate < 1"],
        ["query_metrics", "metric.name == 'loss'"],
        ["_backup_run", "0"],
        ["delete_runs", ["0"]],
        ["delete_experiment", "0"],
        ["structured_db"],
        ["encryption_key"],
        ["__class__", "."],
        ["__init__", "."],
        ["__getattribute__", "path"],
        ["__dict__"],
        ["close"],
        [""],
        ["list_all_runs", "an argument"],
    ]
    command = [PYTHON, "-c", _REFUSED_INSTRUCTIONS, HERE, restricted.address, json.dumps(instructions)]
    answers = json.loads(run(*command, folder=restricted.folder))
    assert answers == {instruction[0]: [400, "PermissionError"] for instruction in instructions}


def test_the_client_says_why_it_was_refused(restricted: TrackingServer) -> None:
    """A user reads the server's reason, instead of an error of the connection."""
    call = "try: aim.Repo(sys.argv[1])._recreate_index()\nexcept PermissionError as error: print(error)"
    assert REFUSED in run(PYTHON, "-c", f"import sys, aim\n{call}", restricted.url, folder=restricted.folder)


_ROUTES = """
import json
import fastapi
from supervisor.patches.tracking_requests import application

identifier, routes, include_router = "01234567-89ab-cdef-0123-456789abcdef", [], fastapi.FastAPI.include_router


def include(self, router, *, prefix, **options):
    routes.extend((prefix + route.path, route) for route in router.routes)
    include_router(self, router, prefix=prefix, **options)


def is_let_through(method, path):
    path = path.replace("{client_uri}", identifier).replace("{resource_handler}", identifier)
    kind = "websocket" if method == "WEBSOCKET" else "http"
    headers = [(b"content-type", b"application/json")]
    return not guard._refusal({"type": kind, "method": method, "path": path, "headers": headers})


fastapi.FastAPI.include_router = include
guard = application()
app = guard._aim._app
(mounted,) = [route for route in app.routes if hasattr(route, "app") and not hasattr(route, "endpoint")]
routes += [(route.path, route) for route in (*app.routes, *mounted.routes) if getattr(route, "path", "")]
found = {(method, path.rstrip("/")) for path, route in routes for method in getattr(route, "methods", ["WEBSOCKET"])}
print(json.dumps({f"{method} {path}": is_let_through(method, path) for method, path in sorted(found)}))
"""

NEEDED = {
    "GET /status": "the client, to see whether it is http or https; and the probes",
    "GET /client/get-version": "the client's check of versions",
    "GET /client/connect/{client_uri}": "the client, at first",
    "GET /client/reconnect/{client_uri}": "the client, after a broken connection",
    "GET /client/heartbeat/{client_uri}": "the client, every ten seconds",
    "GET /client/disconnect/{client_uri}": "the client, at last",
    "POST /tracking/{client_uri}/get-resource": "every resource",
    "GET /tracking/{client_uri}/release-resource/{resource_handler}": "every resource",
    "POST /tracking/{client_uri}/read-instruction": "instructions that are answered",
    "WEBSOCKET /tracking/{client_uri}/write-instruction": "instructions that are not",
}
"""Routes of Aim's application, and what of its client needs each."""


def test_only_the_routes_of_the_client_are_served(bare: TrackingServer) -> None:
    """Of all that Aim's application has."""
    environment = {
        "PYTHONPATH": str(ROOT / "constructs_lib"),
        "__AIM_SERVER_MOUNT_REPO_PATH__": f"{bare.folder}/volume/.aim",
    }
    routes = json.loads(run(PYTHON, "-c", _ROUTES, folder=bare.folder, **environment))
    assert {route for route, let_through in routes.items() if let_through} == set(NEEDED)
    assert {"GET /docs", "GET /openapi.json"} <= set(routes)


_QUERY = """
import sys
from types import SimpleNamespace
from aim.storage.query import RestrictedPythonQuery
from supervisor.patches.tracking_requests import application

if sys.argv[1] == "restricted":
    application()
run = SimpleNamespace(archived=False, db=SimpleNamespace(engine=1))
print(bool(RestrictedPythonQuery("run.db.engine == 1").check(run=run)))
"""


def test_queries_are_guarded_in_this_process_too(bare: TrackingServer) -> None:
    """A second line: if an instruction evaluated one after all, it would reach nothing."""
    environment = {"PYTHONPATH": str(ROOT / "constructs_lib")}
    for mode, found in (("bare", "True"), ("restricted", "False")):
        assert run(PYTHON, "-c", _QUERY, mode, folder=bare.folder, **environment).splitlines()[-1] == found


def recorded(server: TrackingServer) -> Any:
    """What Aim's client reads of a run in which it has recorded everything that it can."""
    scratch = server.folder / "scratch"
    output = run(PYTHON, HERE / "recorder.py", server.url, server.folder / "volume", scratch, folder=server.folder)
    return json.loads(output.replace(json.loads(output)["hash"], "(hash)"))


def test_a_client_records_and_reads_everything_as_with_bare_aim(
    bare: TrackingServer, restricted: TrackingServer
) -> None:
    """Parameters, metrics, objects, properties, logs, artifacts, a second time in the same run, queries, deletion."""
    found = recorded(restricted)
    assert found == recorded(bare)
    assert found["deleted"]
    assert found["queried"] == {"runs": "1", "metrics": "1", "images": "1"}
    assert len(found["metrics"]) == 3


def test_the_command_line_works(restricted: TrackingServer, tmp_path: Path) -> None:
    """`aim runs` lists, copies and removes runs, and `aim storage` prunes, by the URL of the server."""
    made = "import sys, aim; print(aim.Run(repo=aim.Repo(sys.argv[1], init=True)).hash)"
    run_hash = run(PYTHON, "-c", made, tmp_path, folder=tmp_path).strip()

    def aim(*arguments: object) -> str:
        return run(ENVIRONMENT / "bin/aim", *arguments, folder=restricted.folder)

    copied = aim("runs", "--repo", tmp_path, "cp", "--destination", restricted.url, run_hash)
    assert "Successfully copied 1 runs" in copied
    remote = ["--repo", restricted.url]
    assert run_hash in aim("runs", *remote, "ls")
    aim("storage", *remote, "prune")
    assert "Successfully deleted 1 runs" in aim("runs", *remote, "rm", "--yes", run_hash)
    assert run_hash not in aim("runs", *remote, "ls")


@pytest.mark.parametrize(
    "script",
    [
        remote_tracking.TRAIN,
        shared_volume.TRAIN,
        distributed.TRAIN,
        existing_claim.EVALUATE.replace("100_000", "3"),
        report.REPORT,
    ],
    ids=["remote_tracking", "shared_volume", "distributed", "existing_claim", "report"],
)
def test_the_examples_run_over_the_network(restricted: TrackingServer, script: str) -> None:
    """Also those that use the volume."""
    before = runs_on(restricted)
    run(PYTHON, "-c", script, folder=restricted.folder, AIM_REPO=restricted.url, JOB_COMPLETION_INDEX="0")
    assert len(runs_on(restricted) - before) == (script != report.REPORT)


def runs_on(server: TrackingServer) -> set[str]:
    """Hashes of the runs in the repository."""
    return {path.name for path in (server.folder / "volume/.aim/meta/chunks").iterdir()}


_RUN_HASHES = """
import asyncio, json, os, sys
from pathlib import Path

folder = Path(sys.argv[1])
import aim
from aim.web.configs import AIM_UI_MOUNTED_REPO_PATH
os.environ[AIM_UI_MOUNTED_REPO_PATH] = str(folder)
if sys.argv[2] == "restricted":
    from supervisor.patches.runs import restrict_run_hashes
    restrict_run_hashes()
repository = aim.Repo.from_path(str(folder), init=True)
from aim.web.api.runs.views import delete_runs_batch_api

repository.request_tree("meta", "imported run.of-2021", read_only=False)["kept"] = 1
(folder / "data").mkdir()
try:
    asyncio.run(delete_runs_batch_api(["../../../data"]))
except Exception as error:
    print(type(error).__name__, error, file=sys.stderr)
left = {"data": folder / "data", "odd": folder / ".aim/meta/chunks/imported run.of-2021"}
print(json.dumps({name: path.exists() for name, path in left.items()}))
"""


def test_no_hash_of_a_run_leads_out_of_the_repository(tmp_path: Path) -> None:
    """Not even in the web API, whose deletion of runs deletes what it is told; but a hash may be unusual."""
    if not PYTHON.exists():
        skip(MISSING)
    for mode, kept in (("bare", False), ("restricted", True)):
        (tmp_path / mode).mkdir()
        command = [PYTHON, "-c", _RUN_HASHES, tmp_path / mode, mode]
        found = json.loads(run(*command, folder=tmp_path, PYTHONPATH=str(ROOT / "constructs_lib")))
        assert found == {"data": kept, "odd": True}, mode


def test_another_aim_is_refused(tmp_path: Path) -> None:
    """The patches replace private parts of Aim 3.29: on another version they would close nothing, or break it."""
    if not PYTHON.exists():
        skip(MISSING)
    code = (
        "import aim.__version__ as v; v.__version__ = '3.30.0'\n"
        "from supervisor import Refusal\nfrom supervisor.patches.tracking import restrict_instructions\n"
        "try:\n    restrict_instructions()\nexcept Refusal as refusal:\n    print(refusal)"
    )
    assert "Aim 3.30.0" in run(PYTHON, "-c", code, folder=tmp_path, PYTHONPATH=str(ROOT / "constructs_lib"))


_MANY = """
import json, sys
sys.path.insert(0, sys.argv[1])
from attacks import Intruder

intruder, other = Intruder(sys.argv[2]), Intruder(sys.argv[2])
answers = [intruder.request("RunHeartbeat", run_hash="many") for _ in range(201)]
last = answers[-1].json()["exception"]["args"] if answers[-1].status_code == 400 else ""
handlers = [answer.json()["handler"] for answer in answers if answer.status_code == 200]
others = bool(other.get("RunHeartbeat", run_hash="other")), bool(intruder.get("Repo"))
for handler in handlers:
    intruder.page(f"/tracking/{intruder.name}/release-resource/{handler}/")
print(json.dumps([len(handlers), last, others]))
"""


def test_a_client_has_no_more_threads_of_the_server_than_its_share(restricted: TrackingServer) -> None:
    """Each resource that says that a run is alive has two; other clients and other resources are none the worse."""
    command = [PYTHON, "-c", _MANY, HERE, restricted.address]
    taken, last, others = json.loads(run(*command, folder=restricted.folder))
    assert taken == 200
    assert "a client has 200 at most" in last
    assert others == [True, True]


_SILENT = """
import asyncio, json, uuid
from supervisor.patches.tracking_requests import application
from aim.ext.transport.router import ClientRouter
from aim.ext.transport.tracking import TrackingRouter

app, client = application(), str(uuid.uuid4())
body = json.dumps({"resource_handler": "", "resource_type": "Repo", "args": ""}).encode()
scope = {"type": "http", "method": "POST", "path": f"/tracking/{client}/get-resource/", "query_string": b"",
         "headers": [(b"content-type", b"application/json")]}
sent = []


async def receive():
    return {"type": "http.request", "body": body}


async def send(message):
    sent.append(message)


asyncio.run(app(scope, receive, send))
owners = [owner for owner, _ in TrackingRouter.resource_pool.values()]
print(sent[0]["status"], owners == [client], list(ClientRouter.client_heartbeat_pool) == [client])
"""


def test_a_client_without_heartbeats_is_watched_like_another(bare: TrackingServer) -> None:
    """Aim releases the resources of those clients which it has heard of, five minutes after the last time."""
    environment = {
        "PYTHONPATH": str(ROOT / "constructs_lib"),
        "__AIM_SERVER_MOUNT_REPO_PATH__": f"{bare.folder}/volume/.aim",
    }
    output = run(PYTHON, "-c", _SILENT, folder=bare.folder, **environment)
    assert output.splitlines()[-1] == "200 True True"


_COLUMNS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from attacks import Intruder

intruder = Intruder(sys.argv[2])
run = intruder.get("StructuredRun", hash_="columns", read_only=False, created_at=None)
values = [("archived", "text"), ("archived", 2.5), ("name", True), ("description", 1.5), ("experiment", 5)]
values += [("archived", True), ("archived", False), ("name", "a name"), ("description", None)]
print(json.dumps([intruder.send(run, f"{name}.setter", value).status_code for name, value in values]))
"""


def test_a_column_takes_values_of_its_type(restricted: TrackingServer) -> None:
    """SQLite would store any: the next reader of the table fails at it."""
    command = [PYTHON, "-c", _COLUMNS, HERE, restricted.address]
    assert json.loads(run(*command, folder=restricted.folder)) == [400] * 5 + [200] * 4

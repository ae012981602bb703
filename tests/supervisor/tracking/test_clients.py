"""Aim's own client records and reads through the tracking server as ever, within its share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from examples import distributed, existing_claim, remote_tracking, report, shared_volume
from tests.harness.aim_environment import ENVIRONMENT, MISSING, PYTHON, ROOT
from tests.harness.sandbox import skip
from tests.supervisor.tracking.conftest import HERE, TrackingServer, run


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


_ASK = """
import sys
from attacks import Intruder

client = Intruder(sys.argv[1])
answer = client.send(client.get("Repo"), "list_all_runs")
print(answer.status_code, answer.headers.get("content-length"), len(answer.content))
"""


def test_what_a_client_reads_comes_with_its_length(bare: TrackingServer, restricted: TrackingServer) -> None:
    """A proxy on a busy node breaks off answers without, now and then; Aim's own server gives none."""
    for server, has_length in ((bare, False), (restricted, True)):
        status, length, size = run(PYTHON, "-c", _ASK, server.address, folder=HERE).split()
        assert (status, length) == ("200", size if has_length else "None")


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


def test_messages_are_not_compressed(restricted: TrackingServer) -> None:
    """Client and server would spend a tenth of their time on that; they have some hundred bytes each."""
    url = f"ws://{restricted.address}/tracking/01234567-89ab-cdef-0123-456789abcdef/write-instruction/"
    ask = "import sys; from websockets.sync.client import connect\nprint(connect(sys.argv[1]).protocol.extensions)"
    assert run(PYTHON, "-c", ask, url, folder=restricted.folder) == "[]\n"

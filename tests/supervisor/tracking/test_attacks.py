"""The tracking server takes what Aim's own client sends, and nothing else.

Each attack is run against Aim's own server as well, where it has to work: one that does not is no test of the other.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.supervisor.patches.bodies import MOST_OF_TRACKING
from tests.harness.aim_environment import PYTHON, ROOT
from tests.supervisor.attacks import ATTACKS
from tests.supervisor.tracking.conftest import HERE, REFUSED, TrackingServer, bare_server, run, serving


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
app = guard._aim._app._app._app
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


def test_answers_to_pings_that_are_not_read_are_not_kept(restricted: TrackingServer) -> None:
    """They would take as much memory as the client sends."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect(("127.0.0.1", restricted.port))
        client.sendall(_HANDSHAKE)
        ping = b"\x89\xfd" + bytes(4) + b"x" * 125
        pings = ping * 100_000
        client.sendall(pings)
        time.sleep(2)  # until the server has had them all: what is read meanwhile makes room for further answers
        client.settimeout(3)
        answers = 0
        with contextlib.suppress(TimeoutError):
            while part := client.recv(2**20):
                answers += len(part)
    assert 0 < answers < len(pings) / 1.5


def test_a_message_is_no_larger_than_a_body(restricted: TrackingServer) -> None:
    """Its size is refused before it is sent."""
    for size, answer in ((MOST_OF_TRACKING, b""), (MOST_OF_TRACKING + 1, b"exceeds limit of 268435456 bytes")):
        with socket.create_connection(("127.0.0.1", restricted.port), timeout=30) as client:
            client.sendall(_HANDSHAKE)
            assert client.recv(4096).startswith(b"HTTP/1.1 101")
            client.sendall(b"\x82\xff" + size.to_bytes(8, "big") + bytes(4))
            client.settimeout(2)
            received = b""
            with contextlib.suppress(TimeoutError):
                received = client.recv(4096)
        assert received.endswith(answer)
        assert bool(received) == bool(answer)


def test_a_large_message_that_is_refused_is_not_kept(restricted: TrackingServer) -> None:
    """Four of the largest are more than the container has."""
    before, size = restricted.memory, 64 * 2**20
    for _ in range(4):
        with socket.create_connection(("127.0.0.1", restricted.port), timeout=30) as client:
            client.sendall(_HANDSHAKE)
            assert client.recv(4096).startswith(b"HTTP/1.1 101")
            client.sendall(b"\x82\xff" + size.to_bytes(8, "big") + bytes(4) + bytes(size))
            assert client.recv(4096).startswith(b"\x82")  # a message, which says why it is refused
    end = time.monotonic() + 30
    while restricted.memory > before + size and time.monotonic() < end:
        time.sleep(0.1)
    assert restricted.memory < before + size


_HANDSHAKE = (
    b"GET /tracking/01234567-89ab-cdef-0123-456789abcdef/write-instruction/ HTTP/1.1\r\nHost: localhost\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def test_connections_on_which_nothing_is_asked_are_closed(tmp_path: Path) -> None:
    """Neither silence nor half of a request keeps one; a WebSocket stays."""
    command = [PYTHON, "-m", "supervisor", "accept", "--repository", tmp_path / "volume", "--host", "127.0.0.1"]
    variables = {"PYTHONPATH": str(ROOT / "constructs_lib"), "UVICORN_TIMEOUT_KEEP_ALIVE": "1"}
    with serving(tmp_path, *command, **variables) as server, contextlib.ExitStack() as connections:
        opened = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(3)]
        web_socket, silent, half = map(connections.enter_context, opened)
        web_socket.sendall(_HANDSHAKE)
        assert web_socket.recv(4096).startswith(b"HTTP/1.1 101")
        half.sendall(b"GET /status/ HTTP/1.1\r\nHost: local")
        assert (silent.recv(1), half.recv(1)) == (b"", b"")
        web_socket.sendall(b"\x89\x80" + bytes(4))  # a ping
        assert web_socket.recv(4096) == b"\x8a\x00"

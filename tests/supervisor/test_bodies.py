"""Bodies of requests are bounded on both servers, whether or not they say how large they are."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from constructs_lib.supervisor.patches import bodies
from constructs_lib.supervisor.patches.asgi import Message, Receive, Scope, Send
from constructs_lib.supervisor.patches.bodies import MOST_OF_PAGES, MOST_OF_TRACKING, BoundedBodies
from tests.harness.aim_environment import PYTHON, ROOT
from tests.supervisor.aim_server import Server, repository, serving
from tests.supervisor.tracking.conftest import serving as tracking

POSTED = "/api/reports/"


@pytest.fixture(scope="module")
def aim() -> Iterator[Server]:
    """The real Aim, wrapped."""
    with repository() as folder, serving(folder) as server:
        yield server


def test_a_report_of_some_megabytes_is_kept(aim: Server) -> None:
    """A report with images in it, and one for everybody's use."""
    code = "x" * (8 * 2**20)
    made = aim.json(POSTED, method="POST", body={"name": "large", "code": code})
    assert aim.json(f"{POSTED}{made['id']}/")["code"] == code


def test_a_body_that_says_to_be_too_large_is_refused_before_it_is_sent(aim: Server) -> None:
    """The server does not wait for it."""
    assert said(aim.port, POSTED, MOST_OF_PAGES + 1) == 413


def test_a_body_that_does_not_say_how_large_it_is_is_counted(aim: Server) -> None:
    """A chunked one, which Aim would read until memory ends; the server answers others as before."""
    part = b" " * 2**20
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    parts = (part for _ in range(MOST_OF_PAGES // len(part) + 1))
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", aim.port, timeout=60)) as connection:
        connection.request("POST", POSTED, body=parts, headers=headers, encode_chunked=True)
        with connection.getresponse() as response:
            assert response.status == 413
    assert aim.ask("/api/projects/").status == 200


@pytest.mark.parametrize("body", [{"name": math.nan}, {"name": ["\ud800"]}, {"name": {"\ud800": 1}}, ["\ud800"]])
def test_what_is_wrong_with_a_body_is_said_where_no_answer_can_repeat_it(aim: Server, body: object) -> None:
    """FastAPI's own answer does, and fails: 500, and a hundred lines in the log."""
    answer = aim.ask(POSTED, method="POST", body=body)
    assert answer.status == 422, answer.body
    assert json.loads(answer.body)["detail"][0]["loc"][0] == "body"


def test_the_tracking_server_refuses_what_no_client_sends(tmp_path: Path) -> None:
    """Its bound is higher, as images come that way."""
    command = [PYTHON, "-m", "supervisor", "accept", "--repository", tmp_path / "volume", "--host", "127.0.0.1"]
    route = "/tracking/01234567-89ab-cdef-0123-456789abcdef/get-resource/"
    with tracking(tmp_path, *command, PYTHONPATH=str(ROOT / "constructs_lib")) as server:
        assert said(server.port, route, MOST_OF_TRACKING + 1) == 413


def said(port: int, path: str, length: int) -> int:
    """Status of the answer to a request that says how large it is, and sends nothing of that."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.putrequest("POST", path)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(length))):
            connection.putheader(name, value)
        connection.endheaders()
        with connection.getresponse() as response:
            return response.status


def test_no_more_is_received_than_is_allowed() -> None:
    """The application is told that its client is gone, and what it answers to that is dropped."""
    received, sent = list[int](), list[Message]()

    async def reads_all(_: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            received.append(len(message["body"]))
        await send({"type": "http.response.start", "status": 500})
        raise ConnectionError

    async def receive() -> Message:
        return {"type": "http.request", "body": b"123", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(_serve(BoundedBodies(reads_all, most=10, together=100), receive, send))
    assert received == [3, 3, 3]
    assert [message.get("status") for message in sent] == [413, None]


@pytest.mark.parametrize("is_whole", [False, True])
def test_a_client_that_leaves_within_its_body_is_no_failure(is_whole: bool) -> None:
    """The log says nothing of it; what fails once the body is there is told."""
    messages: list[Message] = [
        {"type": "http.request", "body": b"123", "more_body": not is_whole},
        {"type": "http.disconnect"},
    ]

    async def fails(_: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ConnectionError

    async def receive() -> Message:
        return messages.pop(0)

    async def send(_: Message) -> None:
        pytest.fail("there is nobody to answer")

    with pytest.raises(ConnectionError) if is_whole else contextlib.nullcontext():
        asyncio.run(_serve(BoundedBodies(fails, most=10, together=100), receive, send))


def test_bodies_that_are_not_ended_take_no_more_memory_together_than_is_allowed() -> None:
    """A few clients could hold all memory for ever; small bodies are received all the same, and room comes back."""
    bounded, statuses, pending = BoundedBodies(_reads_body, most=10 * PART, together=3 * PART), list[int](), 2 * PART

    async def attack() -> None:
        ends = [asyncio.Event() for _ in range(3)]
        holding = [asyncio.ensure_future(_send(bounded, pending, statuses, end)) for end in ends]
        await asyncio.sleep(0)  # each has sent what it has
        await _send(bounded, 100, statuses)
        assert sorted(statuses) == [200, 503, 503]
        for end in ends:
            end.set()
        await asyncio.gather(*holding)
        await _send(bounded, pending, statuses)

    asyncio.run(attack())
    assert sorted(statuses) == [200, 200, 200, 503, 503]


def test_a_large_body_that_is_never_ended_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client would keep the room of others."""
    monkeypatch.setattr(bodies, "SECONDS_OF_BODY", 0.1)
    statuses = list[int]()
    bounded = BoundedBodies(_reads_body, most=10 * PART, together=10 * PART)
    asyncio.run(asyncio.wait_for(_send(bounded, 2 * PART, statuses, asyncio.Event()), 10))
    assert statuses == [408]


PART = 2**16


async def _reads_body(_: Scope, receive: Receive, send: Send) -> None:
    while (message := await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200 if message["type"] == "http.request" else 400})


async def _send(app: BoundedBodies, size: int, statuses: list[int], end: asyncio.Event | None = None) -> None:
    """Send a body, whose last byte waits for an event; notes the status of the answer."""
    parts = [b" " * PART] * (size // PART) + [b" "]

    async def receive() -> Message:
        part = parts.pop(0)
        if end and not parts:
            await end.wait()
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Message) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    await _serve(app, receive, send)


async def _serve(app: BoundedBodies, receive: Receive, send: Send) -> None:
    await app({"type": "http", "headers": []}, receive, send)

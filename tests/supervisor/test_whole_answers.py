"""A small answer is one message with its length; a large one goes out as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from constructs_lib.supervisor.patches.asgi import Message, Receive, Scope, Send
from constructs_lib.supervisor.patches.whole_answers import WholeAnswers


def sent(parts: Sequence[bytes], *, kind: str = "http") -> list[Message]:
    """What becomes of an answer in parts, which ends with an empty one, as a stream of Starlette's does."""
    messages: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def run() -> None:
        await WholeAnswers(app)({"type": kind}, receive, send)

    asyncio.run(run())
    return messages


@pytest.mark.parametrize("parts", [[], [b"abc"], [b"a", b"b", b"c"], [b"x" * 1000, b"y" * 1000]])
def test_a_small_answer_comes_as_a_whole(parts: list[bytes]) -> None:
    """With its length, so that it needs no end of its own."""
    start, body = sent(parts)
    whole = b"".join(parts)
    assert start["headers"] == [(b"x", b"y"), (b"content-length", str(len(whole)).encode())]
    assert (body["body"], body["more_body"]) == (whole, False)


def test_a_large_answer_goes_out_as_it_comes() -> None:
    """What is held back goes with the first part that is too much; nothing is kept of what follows."""
    start, *bodies = sent([b"a" * 2000, b"b" * 2000, b"c", b"d" * 9000])
    assert start["headers"] == [(b"x", b"y")]
    assert [len(each["body"]) for each in bodies] == [4000, 1, 9000, 0]
    assert [each["more_body"] for each in bodies] == [True, True, True, False]


def test_messages_of_a_web_socket_pass() -> None:
    """They have no length."""
    assert len(sent([b"a", b"b"], kind="websocket")) == 4

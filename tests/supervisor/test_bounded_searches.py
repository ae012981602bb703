"""Searches wait for each other beyond a bound, and one ends whose client reads nothing; other requests do not wait."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from constructs_lib.supervisor.patches import bounded_searches
from constructs_lib.supervisor.patches.asgi import Message, Receive, Scope, Send
from constructs_lib.supervisor.patches.bounded_searches import BoundedSearches

SEARCH, PAGE = "/aim/api/runs/search/run/", "/aim/api/projects/"


class Busy:
    """An application that answers when it is told to.

    Attributes:
        running: requests that it has begun, and not answered.
        most: of them, at any moment.
    """

    def __init__(self) -> None:
        self.running = self.most = 0
        self.go = asyncio.Event()

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Begin, wait, answer."""
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.go.wait()
            await send({"type": "http.response.start", "status": 200})
        finally:
            self.running -= 1


async def ask(app: BoundedSearches, path: str, *, reads: bool = True) -> int:
    """Status of the answer; 0 for none."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if not reads:
            await asyncio.sleep(3600)
        sent.append(message)

    await app({"type": "http", "path": path}, receive, send)
    return sent[0]["status"] if sent else 0


def test_no_more_searches_are_done_at_once_than_are_allowed() -> None:
    """All are answered in the end, and a page is opened meanwhile."""

    async def scene() -> tuple[int, list[int]]:
        busy = Busy()
        app = BoundedSearches(busy, most=3)
        searches = [asyncio.ensure_future(ask(app, SEARCH)) for _ in range(10)]
        page = asyncio.ensure_future(ask(app, PAGE))
        await asyncio.sleep(0.05)
        running = busy.running
        busy.go.set()
        return running, await asyncio.gather(page, *searches)

    assert asyncio.run(scene()) == (4, [200] * 11)


def test_a_search_that_finds_no_turn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told to try again, and those that run go on."""
    monkeypatch.setattr(bounded_searches, "_WAITING_SECONDS", 0.05)

    async def scene() -> list[int]:
        busy = Busy()
        app = BoundedSearches(busy, most=1)
        first, second = (asyncio.ensure_future(ask(app, SEARCH)) for _ in range(2))
        refused = await second
        busy.go.set()
        return [refused, await first, await ask(app, SEARCH)]

    assert asyncio.run(scene()) == [503, 200, 200]


def test_a_search_whose_answer_is_not_read_gives_its_turn_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a few clients that do nothing keep all others out."""
    monkeypatch.setattr(bounded_searches, "_UNREAD_SECONDS", 0.05)

    async def scene() -> list[int]:
        busy = Busy()
        busy.go.set()
        app = BoundedSearches(busy, most=1)
        return list(await asyncio.gather(ask(app, SEARCH, reads=False), ask(app, SEARCH)))

    assert asyncio.run(scene()) == [0, 200]


def test_an_error_of_a_search_is_told_and_gives_its_turn_away() -> None:
    """The log says what failed."""

    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ValueError("damaged")

    async def scene() -> None:
        app = BoundedSearches(fails, most=1)
        for _ in range(3):
            with contextlib.suppress(ValueError):
                await ask(app, SEARCH)
        await asyncio.wait_for(ask(app, SEARCH), 5)

    with pytest.raises(ValueError, match="damaged"):
        asyncio.run(scene())


def test_a_search_whose_body_does_not_end_takes_no_turn() -> None:
    """Or a few clients that send half of one keep all others out; a whole one is given on as it was sent."""
    parts = [b"{", b"}"]

    async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
        messages = [await receive() for _ in parts]
        assert [(each["body"], each["more_body"]) for each in messages] == [(b"{", True), (b"}", False)]
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 200})

    def sender(messages: list[Message]) -> Receive:
        async def receive() -> Message:
            return messages.pop(0) if messages else await asyncio.sleep(3600, {})

        return receive

    async def send(message: Message) -> None:
        sent.append(message["status"])

    async def scene() -> None:
        app = BoundedSearches(echo, most=1)
        scope = {"type": "http", "path": SEARCH}
        half: Message = {"type": "http.request", "body": b"{", "more_body": True}
        rest: Message = {"type": "http.request", "body": b"}", "more_body": False}
        stuck = asyncio.ensure_future(app(scope, sender([half]), send))
        await asyncio.sleep(0.05)
        await asyncio.wait_for(app(scope, sender([half, rest, {"type": "http.disconnect"}]), send), 5)
        assert not stuck.done()
        stuck.cancel()

    sent: list[int] = []
    asyncio.run(scene())
    assert sent == [200]

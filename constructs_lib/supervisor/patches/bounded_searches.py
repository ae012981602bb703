"""Bounds the searches that a worker does at the same time, and how long it waits for a client that reads no answer.

Wrong in Aim 3.29: it does as many as are asked for. Three hundred, whose answers nobody read, opened a thousand files
in a worker, and it answered nobody else for a minute.
"""

from __future__ import annotations

import asyncio
from collections import deque

from .asgi import App, Message, Receive, Scope, Send, send_text

MOST = 16
"""Of a worker: each is given a turn of some milliseconds after the other, so that more would not end any earlier."""

_WAITING_SECONDS = 60
"""For one of them to end; a proxy in front waits no longer."""

_UNREAD_SECONDS = 60
"""For a client to read a part of its answer."""


class BoundedSearches:
    """Has searches wait for a turn, answers 503 if there is none, and ends one whose client does not read."""

    def __init__(self, app: App, *, most: int = MOST) -> None:
        """Wrap an ASGI application.

        Args:
            app: to protect.
            most: searches at the same time.
        """
        self._app, self._most = app, most
        self._turns: asyncio.Semaphore | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer: at once, if it is no search."""
        if scope["type"] != "http" or "/search/" not in scope["path"]:
            await self._app(scope, receive, send)
            return
        # before it has a turn: a client that sends no end of a body would keep it for ever
        receive = await _received(receive)
        turns = self._turns = self._turns or asyncio.Semaphore(self._most)  # Python 3.9 binds it to the running loop
        try:
            await asyncio.wait_for(turns.acquire(), _WAITING_SECONDS)
        except asyncio.TimeoutError:
            await send_text(send, 503, "refused: too many searches at once: try again")
            return
        try:
            await self._search(scope, receive, send)
        finally:
            turns.release()

    async def _search(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = True

        async def read(message: Message) -> None:
            nonlocal is_read
            try:
                await asyncio.wait_for(send(message), _UNREAD_SECONDS)
            except asyncio.TimeoutError:
                is_read = False
                raise

        try:
            await self._app(scope, receive, read)
        except Exception:
            if is_read:
                raise


async def _received(receive: Receive) -> Receive:
    """Receive a body as a whole; what is returned gives it once more."""
    messages = deque([await receive()])
    while messages[-1].get("more_body"):
        messages.append(await receive())

    async def again() -> Message:
        return messages.popleft() if messages else await receive()

    return again

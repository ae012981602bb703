"""Bounds the bodies of requests.

Wrong in Aim 3.29: it reads the body of any request into memory, whole, however large it is: 1 GB to `/api/reports/`
adds 1 GB to a worker, and to the tracking server three times that. It waits for the rest of one for ever, so a few
clients that send all of a large body but its end keep it in memory for as long as they like.
"""

from __future__ import annotations

import asyncio
import time

from .asgi import App, Message, Receive, Scope, Send, send_text, values

MOST_OF_PAGES = 16 * 2**20
"""Bytes: a report has a few MB at most."""

MOST_OF_TRACKING = 256 * 2**20
"""Bytes: images and sounds of runs come this way, in Base64."""

TOGETHER_OF_PAGES = 4 * MOST_OF_PAGES
TOGETHER_OF_TRACKING = MOST_OF_TRACKING
"""Bytes of all bodies that a process has at the same time: Aim makes three times as much of one while it decodes it,
which is what the memory of a tracking server bears once."""

_SMALL = 2**16
"""Bytes of a body that are received whatever others send: what a run tells again and again has some hundreds."""

SECONDS_OF_BODY = 300
"""For the whole of a body that is not small; `connections` sees to small ones."""


class BoundedBodies:
    """Answers 413 to a request whose body is too large, 503 if all bodies are, 408 if it takes too long.

    It reads no more of such a body than is allowed.
    """

    def __init__(self, app: App, *, most: int, together: int) -> None:
        """Wrap an ASGI application.

        Args:
            app: to protect.
            most: bytes of a body.
            together: bytes of the bodies of all requests that are not answered yet.
        """
        self._app = app
        self._most = most
        self._room = _Room(together)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, if it is not a request of a body that says to be too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(receive, send, self._most, self._room)
        if any(self._is_too_large(length) for length in values(scope, b"content-length")):
            await request.refuse_size()
            return
        try:
            await self._app(scope, request.receive, request.send)
        except Exception:
            if not request.is_refused:  # the application has been told that its client is gone
                raise
        finally:
            self._room.left += request.size

    def _is_too_large(self, length: str) -> bool:
        # nothing that is no number comes through uvicorn; Python refuses to read thousands of digits
        return length.isdecimal() and (len(length) > len(str(self._most)) or int(length) > self._most)


class _Room:
    """Bytes that bodies may still take, all together."""

    def __init__(self, most: int) -> None:
        self.most = self.left = most


class _Request:
    """Counts what is received, for a body that does not say how large it is.

    Attributes:
        size: bytes of the body so far.
        is_refused: whether it was answered here, or its client was gone before the end of its body.
    """

    def __init__(self, receive: Receive, send: Send, most: int, room: _Room) -> None:
        self._receive, self._send, self._most, self._room = receive, send, most, room
        self.size, self._end = 0, time.monotonic() + SECONDS_OF_BODY
        self._is_answered = self._is_whole = self.is_refused = False

    async def receive(self) -> Message:
        """Receive a part, or tell the application that the client is gone."""
        message: Message = {"type": "http.disconnect"} if self.is_refused else await self._next()
        part = len(message.get("body", b""))
        self.size, self._room.left = self.size + part, self._room.left - part
        # what the application makes of half a body is no failure of it, and a hundred lines of log
        self.is_refused |= message["type"] == "http.disconnect" and not self._is_whole
        self._is_whole = not message.get("more_body")
        if self.size > self._most:
            await self.refuse_size()
        elif part and self._room.left < 0 and self.size > _SMALL:
            await self._refuse(503, f"all requests have {self._room.most} bytes at most: try again")
        return {"type": "http.disconnect"} if self.is_refused else message

    async def _next(self) -> Message:
        """Receive a part in time: the time of small bodies is not taken, as that takes time itself."""
        if self._is_whole or self.size <= _SMALL:
            return await self._receive()
        try:
            return await asyncio.wait_for(self._receive(), self._end - time.monotonic())
        except asyncio.TimeoutError:
            await self._refuse(408, f"a body is received within {SECONDS_OF_BODY} s")
            return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send a part of the answer, unless there has been another one."""
        if not self.is_refused:
            self._is_answered = True
            await self._send(message)

    async def refuse_size(self) -> None:
        """Answer 413."""
        await self._refuse(413, f"the body of a request has {self._most} bytes at most")

    async def _refuse(self, status: int, reason: str) -> None:
        """Answer, unless this or the application has begun to; what comes of the body is dropped from then on."""
        if self.is_refused:
            return
        self.is_refused = True
        if self._is_answered:
            return
        await send_text(self._send, status, f"refused: {reason}")

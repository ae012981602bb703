"""Bounds the bodies of requests.

Wrong in Aim 3.29: it reads the body of any request into memory, whole, however large it is: 1 GB to `/api/reports/`
adds 1 GB to a worker, and to the tracking server twice that.
"""

from __future__ import annotations

from .asgi import App, Message, Receive, Scope, Send, values

MOST_OF_PAGES = 16 * 2**20
"""Bytes: a report has a few MB at most."""

MOST_OF_TRACKING = 256 * 2**20
"""Bytes: images and sounds of runs come this way, in Base64."""


class BoundedBodies:
    """Answers 413 to a request whose body is too large; reads no more of it than is allowed."""

    def __init__(self, app: App, *, most: int) -> None:
        """Wrap an ASGI application.

        Args:
            app: to protect.
            most: bytes of a body.
        """
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, if it is not a request of a body that says to be too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(receive, send, self._most)
        if any(self._is_too_large(length) for length in values(scope, b"content-length")):
            await request.refuse()
            return
        try:
            await self._app(scope, request.receive, request.send)
        except Exception:
            if not request.is_refused:  # the application has been told that its client is gone
                raise

    def _is_too_large(self, length: str) -> bool:
        # nothing that is no number comes through uvicorn; Python refuses to read thousands of digits
        return length.isdecimal() and (len(length) > len(str(self._most)) or int(length) > self._most)


class _Request:
    """Counts what is received, for a body that does not say how large it is."""

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive, self._send, self._left, self._most = receive, send, most, most
        self._is_answered = self.is_refused = False

    async def receive(self) -> Message:
        """Receive a part, or tell the application that the client is gone."""
        message: Message = {"type": "http.disconnect"} if self.is_refused else await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0 and not self.is_refused:
            await self.refuse()
        return {"type": "http.disconnect"} if self.is_refused else message

    async def send(self, message: Message) -> None:
        """Send a part of the answer, unless there has been another one."""
        if not self.is_refused:
            self._is_answered = True
            await self._send(message)

    async def refuse(self) -> None:
        """Answer 413, unless the application has begun to answer."""
        self.is_refused = True
        if self._is_answered:
            return
        body = f"refused: the body of a request has {self._most} bytes at most\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": 413, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

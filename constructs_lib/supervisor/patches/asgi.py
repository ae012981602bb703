"""Names for the parts of ASGI, the interface between uvicorn and Aim's web application.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, MutableMapping
from typing import Any, Callable

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def values(carrier: MutableMapping[str, Any], name: bytes) -> list[str]:
    """Values of a header of a request or an answer, one for each time that it was sent.

    Args:
        carrier: a scope, or the message that starts an answer.
        name: in lower case.
    """
    return [value.decode("latin-1").strip() for key, value in carrier.get("headers", ()) if key.lower() == name]


class HeldAnswer:
    """Holds an answer back until it is there as a whole, whose head may then go by the body."""

    def __init__(
        self,
        send: Send,
        finish: Callable[[Message, bytes], Message],
        *,
        holds: Callable[[Message], bool] = lambda _: True,
        most: float = math.inf,
    ) -> None:
        """Stand between an application and a client.

        Args:
            send: to the client.
            finish: makes the message that starts the answer from that of the application and the whole body.
            holds: whether the answer that a message starts is held. Default: each is.
            most: bytes that are held; a larger answer goes out as it comes. Default: no bound.
        """
        self._send, self._finish, self._holds, self._most = send, finish, holds, most
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        """Take a message of the application."""
        if message["type"] == "http.response.start" and self._holds(message):
            self._start = message
            return
        if self._start:
            self._body += message.get("body", b"")
            is_whole = not message.get("more_body")
            if not is_whole and len(self._body) <= self._most:
                return
            await self._send(self._finish(self._start, self._body) if is_whole else self._start)
            message = {**message, "body": self._body}
            self._start, self._body = None, b""
        await self._send(message)


async def send_text(send: Send, status: int, text: str) -> None:
    """Answer with a line of text, in the place of an application."""
    body = f"{text}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

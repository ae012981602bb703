"""Names for the parts of ASGI, the interface between uvicorn and Aim's web application.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

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


async def send_text(send: Send, status: int, text: str) -> None:
    """Answer with a line of text, in the place of an application."""
    body = f"{text}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

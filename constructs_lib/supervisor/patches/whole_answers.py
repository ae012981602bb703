"""Sends a small answer as a whole, with its length.

Wrong in Go's net/http, of which proxies are made, oauth2-proxy of a login among them: a proxy closes the body of a
request once it writes the first part of an answer; where it was yet to see that the body has ended, it gives up the
rest. Aim 3.29 sends each answer in parts: on a busy node, one in a thousand requests failed by "Response ended
prematurely", and with it the run. What comes as a whole is read before any of it is written.
"""

from __future__ import annotations

from .asgi import App, HeldAnswer, Message, Receive, Scope, Send

_SMALL = 2**11
"""Bytes of a body that a proxy reads at once, whatever the head of the answer takes of its buffer of 4 KiB."""


class WholeAnswers:
    """Holds an answer back until it is there as a whole, or is not small."""

    def __init__(self, app: App) -> None:
        """Wrap an ASGI application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        held = HeldAnswer(send, _with_length, most=_SMALL)
        await self._app(scope, receive, held if scope["type"] == "http" else send)


def _with_length(start: Message, body: bytes) -> Message:
    headers = [pair for pair in start.get("headers", ()) if pair[0].lower() != b"content-length"]
    return {**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]}

"""Asks an ASGI application in this process, as uvicorn would."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping

from constructs_lib.supervisor.patches.asgi import App, Message, Receive, Scope, Send


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What was sent back; headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    app: App, path: str = "/", *, method: str = "GET", kind: str = "http", headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request; several values of a header are separated by a line break."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    pairs = [(n.lower().encode(), v.encode()) for n, text in (headers or {}).items() for v in text.split("\n")]
    asyncio.run(_run(app, {"type": kind, "method": method, "path": path, "headers": pairs}, receive, send))
    return _answer(sent)


async def _run(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


def _answer(sent: list[Message]) -> Answer:
    if sent[0]["type"] == "websocket.close":
        return Answer(status=403, headers={}, body=b"")
    headers = {name.decode(): value.decode() for name, value in sent[0].get("headers", ())}
    return Answer(status=sent[0]["status"], headers=headers, body=b"".join(m.get("body", b"") for m in sent[1:]))

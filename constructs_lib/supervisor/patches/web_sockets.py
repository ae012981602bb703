"""Forgets WebSockets that have ended, with what they have sent last.

Wrong in Aim 3.29: it keeps each one whose message it has refused, for ever; and what refused it keeps the message,
until Python's collector looks, which is hundreds of them later. Four messages of 250 MiB were more than the container
has.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from .asgi import App, Message, Receive, Scope, Send

_LARGE = 2**20
"""Bytes of a message that is worth a look of the collector, which takes a tenth of a second."""

_SECONDS = 1.0
"""Until uvicorn has let go of the connection."""


class EndedWebSockets:
    """Has the collector look for the last message of a WebSocket, if it was large."""

    def __init__(self, app: App) -> None:
        """Wrap an ASGI application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        size = 0

        async def measured() -> Message:
            nonlocal size
            message = await receive()
            size = len(message.get("bytes") or b"")
            return message

        await self._app(scope, measured, send)
        if size >= _LARGE:
            asyncio.get_running_loop().call_later(_SECONDS, gc.collect)


def keep_no_web_sockets() -> None:
    """Replace Aim's list of them, which nothing reads, in this process and those forked from it."""
    from aim.ext.transport.tracking import ConnectionManager

    async def accept(_: Any, web_socket: Any) -> None:
        await web_socket.accept()

    ConnectionManager.connect, ConnectionManager.disconnect = accept, lambda *_: None

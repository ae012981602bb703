"""Bounds what is kept for a client that sends pings through a WebSocket and reads no answer.

Wrong in uvicorn: it writes an answer to each ping, whether or not the client reads them, into memory without a bound.
"""

from __future__ import annotations

from typing import Any


def bound_pongs() -> None:
    """Answer no ping of a client with more than 64 KiB of answers to read, in this process and those forked from it."""
    try:
        from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol as Protocol
    except ImportError:  # of a former uvicorn, which waits for the client
        return
    handle = getattr(Protocol.handle_ping, "__wrapped__", Protocol.handle_ping)

    def handle_ping(self: Any) -> None:
        if self.writable.is_set():
            handle(self)
        else:
            self.conn.data_to_send()  # forgets the answer

    handle_ping.__wrapped__ = handle  # type: ignore[attr-defined]
    Protocol.handle_ping = handle_ping  # type: ignore[method-assign]

"""What `python -m uvicorn` does in `aim up`, without its delay."""

from __future__ import annotations

import socket
from typing import Any


def web(arguments: list[str]) -> None:
    """Run uvicorn on a socket without delay.

    With several workers uvicorn shares a socket of its own making, on which each answer waits some 40 ms for the
    acknowledgement of the one before.
    """
    import uvicorn.config
    import uvicorn.main

    bind = uvicorn.config.Config.bind_socket

    def bind_without_delay(config: Any) -> socket.socket:
        listening: socket.socket = bind(config)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening

    uvicorn.config.Config.bind_socket = bind_without_delay
    uvicorn.main.main(args=arguments)

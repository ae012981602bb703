"""What `python -m uvicorn` does in `aim up` and `aim server`, without its delay."""

from __future__ import annotations

import os
import socket
from typing import Any

DRAIN_SECONDS = 30
"""How long running queries may take after SIGTERM; the pod's grace period is longer."""

_DEFAULTS = {
    # longer than the idle time of the proxies in front (60 s), or they send requests into closing connections
    "UVICORN_TIMEOUT_KEEP_ALIVE": "75",
    "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": str(DRAIN_SECONDS),
    # a worker that searches for longer than the default of 5 s would be taken for dead, and killed
    "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "60",
    # the proxy in front says what scheme it was asked for; who may talk to us is the NetworkPolicy's business
    "FORWARDED_ALLOW_IPS": "*",
}
"""Of uvicorn's own environment variables; those of the container win."""


def web(arguments: list[str]) -> None:
    """Run uvicorn on a socket without delay.

    With several workers uvicorn shares a socket of its own making, on which each answer waits some 40 ms for the
    acknowledgement of the one before.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import uvicorn.config
    import uvicorn.main

    bind = uvicorn.config.Config.bind_socket

    def bind_without_delay(config: Any) -> socket.socket:
        listening: socket.socket = bind(config)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening

    uvicorn.config.Config.bind_socket = bind_without_delay
    uvicorn.main.main(args=arguments)

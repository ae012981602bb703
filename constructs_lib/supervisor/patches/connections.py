"""Closes connections on which nothing is asked.

Wrong in uvicorn (https://github.com/Kludex/uvicorn/pull/1192): its time-out begins with an answer and ends with the
next byte. A client that sends nothing, or the head of a request byte by byte, keeps its connection for ever.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any


class SilentConnections:
    """Closes those that have begun no request for a while; one that is being answered may take its time."""

    def __init__(self, connections: Collection[Any], seconds: float) -> None:
        """Watch the connections of a server.

        Args:
            connections: uvicorn's protocols; those of WebSockets, which have no `cycle`, are left alone.
            seconds: from one look to the next: a connection is closed after one to two times as long.
        """
        self._connections, self._seconds = connections, seconds
        self._former: dict[Any, Any] = {}
        self._next = 0.0

    def look(self) -> None:
        """Close what is as it was at the look before, if that is long enough ago."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._seconds
        last_requests = {each: each.cycle for each in self._connections if hasattr(each, "cycle")}
        for connection, request in last_requests.items():
            is_same = connection in self._former and self._former[connection] is request
            if is_same and (request is None or request.response_complete):
                connection.transport.close()
        self._former = last_requests

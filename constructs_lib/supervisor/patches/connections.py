"""Closes connections on which nothing is asked, or whose client neither sends the rest of a request nor reads.

Wrong in uvicorn (https://github.com/Kludex/uvicorn/pull/1192): its time-out begins with an answer and ends with the
next byte. A client that sends nothing, or a request without its end, keeps its connection for ever, and so does one
that does not read its answer, with as much as it has not read: what uvicorn closes waits for the client to read on.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from .bodies import SECONDS_OF_BODY


class SilentConnections:
    """Closes those whose client has done nothing for a while; one that is being answered may take its time."""

    def __init__(self, connections: Collection[Any], seconds: float, *, of_body: float = SECONDS_OF_BODY) -> None:
        """Watch the connections of a server.

        Args:
            connections: uvicorn's protocols; those of WebSockets, which have no `cycle`, are left alone.
            seconds: from one look to the next: a connection is closed after one to two times as long.
            of_body: for a body, large or small, from the look that finds it begun.
        """
        self._connections, self._seconds, self._of_body = connections, seconds, of_body
        self._former: dict[Any, tuple[Any, float]] = {}
        self._next = 0.0

    def look(self) -> None:
        """Close what has been as it is for long enough."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._seconds
        watched = {each: (_state(each), now) for each in self._connections if hasattr(each, "cycle")}
        for connection, (state, _) in watched.items():
            former, since = self._former.get(connection, (None, now))
            if former == state:
                watched[connection] = state, since
                if _is_silent(connection) or (connection.cycle.more_body and now - since >= self._of_body):
                    connection.transport.abort()  # `close` would wait for what is not read
        self._former = watched


def _state(connection: Any) -> tuple[Any, int]:
    """The last request, and how much of its answer waits for the client to read."""
    return connection.cycle, connection.transport.get_write_buffer_size()


def _is_silent(connection: Any) -> bool:
    request, unread = _state(connection)
    return bool(unread or request is None or request.response_complete)

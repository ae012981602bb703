"""Connections on which nothing is asked are closed, and no others."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from constructs_lib.supervisor.patches import connections
from constructs_lib.supervisor.patches.connections import SilentConnections


@dataclass(eq=False)
class Connection:
    """A connection of uvicorn's, whose newest request is its `cycle`."""

    cycle: Any = None
    is_closed: bool = False
    transport: Any = field(init=False)

    def __post_init__(self) -> None:
        """Note its end."""
        self.transport = SimpleNamespace(close=lambda: setattr(self, "is_closed", True))


def request(*, answered: bool) -> Any:
    """A request, as uvicorn has it."""
    return SimpleNamespace(response_complete=answered)


@pytest.mark.parametrize(
    ("connection", "is_closed"),
    [
        (Connection(), True),
        (Connection(request(answered=True)), True),
        (Connection(request(answered=False)), False),
        (SimpleNamespace(is_closed=False), False),
    ],
    ids=["no-request", "answered", "search-of-minutes", "web-socket"],
)
def test_a_connection_is_closed_unless_something_goes_on(connection: Any, *, is_closed: bool) -> None:
    """An answer may take longer than a client may be silent; the first look only learns what there is."""
    silent = SilentConnections([connection], seconds=0)
    silent.look()
    assert not connection.is_closed
    silent.look()
    assert connection.is_closed == is_closed


def test_a_connection_with_a_new_request_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has been silent from one look to the next; calls in between are no looks."""
    connection, now = Connection(request(answered=True)), [1000.0]
    monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=lambda: now[0]))
    silent = SilentConnections([connection], seconds=75)
    for moment in (0, 74, 76, 150):
        now[0] = 1000.0 + moment
        connection.cycle = request(answered=True) if moment == 76 else connection.cycle
        silent.look()
        assert not connection.is_closed
    now[0] = 1000.0 + 152
    silent.look()
    assert connection.is_closed

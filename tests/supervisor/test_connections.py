"""A connection is closed whose client does nothing, and no other one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from constructs_lib.supervisor.patches import connections
from constructs_lib.supervisor.patches.connections import SilentConnections


class Request:
    """One of uvicorn's, and no other one."""

    def __init__(self, *, response_complete: bool = False, more_body: bool = False) -> None:
        self.response_complete, self.more_body = response_complete, more_body


class Connection:
    """One of uvicorn's, with a request that is being answered.

    Attributes:
        unread: bytes of the answer.
        is_open: until it is closed.
    """

    def __init__(self, *, unread: int = 0, **request: bool) -> None:
        self.cycle: Any = Request(**request)
        self.transport = SimpleNamespace(abort=self._abort, get_write_buffer_size=self._left)
        self.unread: int = unread
        self.is_open = True

    def _left(self) -> int:
        return self.unread

    def _abort(self) -> None:
        self.is_open = False


class Looks:
    """Looks at a connection every ten seconds; a body has thirty."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = iter(range(0, 1000, 10))
        monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    def left(self, connection: Connection, *unread: int) -> int:
        """How many looks leave it open, of one for each number of bytes that are not read yet."""
        silent = SilentConnections([connection], 10, of_body=30)
        left = 0
        for connection.unread in unread:
            silent.look()
            left += connection.is_open
        return left


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Looks by a clock of their own."""
    return Looks(monkeypatch)


def test_one_without_a_request_is_closed(looks: Looks) -> None:
    """Whether there has been none, or it is answered."""
    silent = Connection()
    silent.cycle = None
    assert [looks.left(each, 0, 0, 0) for each in (silent, Connection(response_complete=True))] == [1, 1]


def test_one_that_is_being_answered_stays(looks: Looks) -> None:
    """A search takes minutes."""
    assert looks.left(Connection(), *[0] * 20) == 20


@pytest.mark.parametrize("is_answered", [True, False])
def test_one_whose_client_reads_nothing_is_closed(looks: Looks, is_answered: bool) -> None:
    """Uvicorn has closed it, and waits for the client; a slow one stays, as it reads some."""
    assert looks.left(Connection(response_complete=is_answered), 900, 900, 900) == 1
    assert looks.left(Connection(response_complete=is_answered), 900, 800, 700) == 3


def test_one_whose_request_does_not_end_is_closed(looks: Looks) -> None:
    """Later, as a large body may take its time."""
    assert looks.left(Connection(more_body=True), *[0] * 20) == 3


def test_one_with_a_new_request_stays() -> None:
    """Until it has been silent from one look to the next."""
    connection = Connection(response_complete=True)
    silent = SilentConnections([connection], 0)
    for _ in range(3):
        connection.cycle = Request(response_complete=True)
        silent.look()
    assert connection.is_open
    silent.look()
    assert not connection.is_open


def test_a_web_socket_is_left_alone() -> None:
    """It has no requests: `pings` sees to it."""
    connection = Connection()
    del connection.cycle
    silent = SilentConnections([connection], 0)
    for _ in range(3):
        silent.look()
    assert connection.is_open

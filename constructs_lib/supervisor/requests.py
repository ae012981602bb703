"""Requests of chores to the server that has the volume: files beside the repository.

Only one process may write the index, the server's indexer. A chore takes the volume's lock where no server runs, and
does its work itself; otherwise it leaves a request, and waits for the answer. So a chore needs no token and no rights
in the cluster's API, the server goes on meanwhile, and a chore that is killed leaves nothing switched off.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import socket
import time
from pathlib import Path
from typing import Callable

from . import Refusal, say
from .files import NotPlainError, read_plain
from .notes import note, read_json
from .volume import LOCK, Hold

FOLDER = ".aim-maintenance"
CHORES = ("reindex", "prune", "compare")
"""What an indexer can be asked for: to build the index anew, to remove from it what no run has, and to compare every
run with it."""

_PATIENCE_SECONDS = 1800
_NAME = re.compile(r"[0-9a-f]{32}\.request")


@dataclasses.dataclass(frozen=True)
class Request:
    """A request of a chore.

    Attributes:
        path: its file, which is removed when it is answered.
        chore: one of `CHORES`.
        host: of the chore.
    """

    path: Path
    chore: str
    host: str

    def answer(self, text: str) -> None:
        """Say what has come of it."""
        say(f"{self.chore}: {text}")
        with contextlib.suppress(OSError):  # a full volume: the chore gives up in the end, and says so
            note(self.path.with_suffix(".answer"), text=text)
            self.path.unlink()


class Requests:
    """Requests that wait on a volume, as the indexer sees them."""

    def __init__(self, volume: Path) -> None:
        self._folder = volume / FOLDER

    def next(self) -> Request | None:
        """A request that waits; one that cannot be, or whose chore has given up, is left out."""
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(self._folder)):  # noqa: PTH208  # once a second
                found = self._read(self._folder / name) if _NAME.fullmatch(name) else None
                if found:
                    return found
        return None

    def _read(self, path: Path) -> Request | None:
        with contextlib.suppress(FileNotFoundError, NotPlainError, ValueError, TypeError, AttributeError):
            said = json.loads(read_plain(path))
            if said.get("chore") in CHORES and float(said["until"]) > time.time():
                return Request(path, said["chore"], str(said.get("host"))[:63])
        return None


def alone_or_asked(volume: Path, chore: str, alone: Callable[[], str]) -> str:
    """Do a chore on the index here where no server runs, or else have the server do it; returns what has come of it.

    Args:
        volume: with the repository.
        chore: one of `CHORES`.
        alone: does it, while this process has the volume's lock.

    Raises:
        Refusal: the server has not answered in half an hour.
    """
    hold, end = Hold(volume / LOCK), time.monotonic() + _PATIENCE_SECONDS
    request: Path | None = None
    try:
        while time.monotonic() < end:
            if hold.take_now():
                return alone()
            request = request or _ask(volume, chore, hold.holder)
            answer = read_json(request.with_suffix(".answer"))
            if answer:
                return str(answer.get("text"))
            time.sleep(0.5)
    finally:
        for leftover in (request, request and request.with_suffix(".answer")):
            if leftover:
                leftover.unlink(missing_ok=True)
    remedy = "see its log; a server of a former version answers no requests"
    raise Refusal(f"the server on host {hold.holder} has not answered for {_PATIENCE_SECONDS} s: {remedy}")


def _ask(volume: Path, chore: str, holder: str) -> Path:
    say(f"a server runs on host {holder}: asking it")
    path = volume / FOLDER / f"{os.urandom(16).hex()}.request"
    note(path, chore=chore, host=socket.gethostname(), until=time.time() + _PATIENCE_SECONDS)
    return path

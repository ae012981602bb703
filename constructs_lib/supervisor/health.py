"""Answers the kubelet, whatever Aim and the file system do."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Callable

from .metrics import STATES, Metrics
from .sockets import bind

SILENCE_SECONDS = 120
"""A server that has not answered for so long does not live any more: a search can block a worker for a minute."""

_ANSWER_SECONDS = 10


class Health:
    """What the container waits for or suffers from; the probes of the pod ask for it.

    It touches no file, so that it answers while the file system hangs.

    Attributes:
        waiting_for: why the server has not started yet.
        problem: why it is not ready; empty when it is.
        notes: what else a person would like to know, by subject.
        started: whether the server has answered once.
        metrics: for Prometheus.
    """

    def __init__(self) -> None:
        self.waiting_for = "the supervisor is starting"
        self.problem = "the server has not been asked yet"
        self.notes: dict[str, str] = {}
        self.started = False
        self.metrics = Metrics()
        self._answered = time.monotonic()
        self._stopping = False

    def stop(self) -> None:
        """Take no new requests: not ready from now on."""
        self._stopping = True

    def answered(self, problem: str) -> None:
        """Note an answer of the server: `problem` says why it is not a good one."""
        self._answered = time.monotonic()
        self.problem = problem
        if not problem:
            self.started, self.waiting_for = True, ""

    def silent(self, problem: str) -> None:
        """Note that the server did not answer."""
        self.problem = problem

    async def listen(self, port: int) -> list[asyncio.AbstractServer]:
        """Serve `/startz`, `/readyz`, `/livez` and `/metrics` on every address; port 0 serves nothing.

        Raises:
            Refusal: the port is taken.
        """
        return [
            await asyncio.start_server(self._serve, sock=listening) for listening in (bind("", port) if port else ())
        ]

    def _startz(self) -> str:
        return "" if self.started else self.waiting_for

    def _readyz(self) -> str:
        return "the server is stopping" if self._stopping else self._startz() or self.problem

    def _livez(self) -> str:
        silence = time.monotonic() - self._answered
        silent = self.started and silence > SILENCE_SECONDS
        return f"no answer from the server for {silence:.0f} s: {self.problem}" if silent else ""

    def _metrics(self) -> str:
        ready = "stopping" if self._stopping else "unready" if self.problem else "ready"
        state = ready if self.started or self._stopping else "starting"
        for each in STATES:
            self.metrics.set("aim_state", each == state, state=each)
        self.metrics.set("aim_up", self.started and not self.problem)
        return self.metrics.text()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ignored = (OSError, LookupError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError)
        with contextlib.closing(writer), contextlib.suppress(*ignored):
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _ANSWER_SECONDS)
            writer.write(self._answer(request.split(b" ", 2)[1].decode("latin-1")))
            await writer.drain()

    def _answer(self, path: str) -> bytes:
        pages: dict[str, Callable[[], str]] = {
            "/startz": self._startz,
            "/readyz": self._readyz,
            "/livez": self._livez,
        }
        page = pages.get(path.partition("?")[0])
        if path.partition("?")[0] == "/metrics":
            return _response("200 OK", self._metrics())
        if not page:
            return _response("404 Not Found", f"there are {', '.join([*pages, '/metrics'])}")
        reason = page()
        notes = "".join(f"\n{subject}: {note}" for subject, note in self.notes.items())
        return _response("503 Service Unavailable" if reason else "200 OK", (reason or "ok") + notes)


def _response(status: str, text: str) -> bytes:
    body = f"{text.rstrip()}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}"
    return f"{head}\r\nConnection: close\r\n\r\n".encode() + body


async def ask(health: Health, host: str, port: int, path: str, *, name: str = "localhost") -> None:
    """Ask the server for a page, and note its answer.

    Args:
        health: where to note it.
        host: address that the server listens on; empty for every one.
        port: its port.
        path: what to ask for; something that the server reads from the volume.
        name: the host name to ask for.
    """
    try:
        status = await asyncio.wait_for(_status(host or "127.0.0.1", port, path, name), _ANSWER_SECONDS)
        health.answered("" if status == "200" else f"the server answers {status} to {path}")
    except asyncio.TimeoutError:  # before OSError: from Python 3.11 on it is one
        health.silent(f"the server does not answer within {_ANSWER_SECONDS} s: it is busy, or the file system hangs")
    except (OSError, EOFError, IndexError) as error:
        health.silent(f"the server does not answer: {error}")


async def _status(host: str, port: int, path: str, name: str) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        line = await reader.readline()
        await reader.read()
    finally:
        writer.close()
    if not line:
        raise EOFError("it closed the connection")
    return line.decode("latin-1").split()[1]

"""Asks the server on the loopback, as a fixed load; prints what it measured as JSON."""

from __future__ import annotations

import http.client
import json
import selectors
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TURNS = 10
HEADERS = "Host: localhost\r\n"
CHEAP = "/api/projects/pinned-sequences"
SEARCH = "/api/runs/search/metric/?p=500&q=metric.name%20%3D%3D%20%22loss%22"
SEARCHES = 3
SECONDS = 5
SILENCE = 120
"""Seconds without a byte, after which a question is taken for lost."""

SMALL_CALLS = 5
"""A second, as by users who look at something else meanwhile."""


class Connection:
    """A kept-alive connection; less work than a library's, so that it is the server that is measured."""

    def __init__(self, path: str, port: int = 43800, headers: str = HEADERS) -> None:
        """Connect; every question is for the same path."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SILENCE)
        self._file = self._socket.makefile("rb")
        self._question = f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode()
        self._begin = 0.0

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._socket.close()

    def ask(self) -> None:
        """Send the question."""
        self._begin = time.perf_counter()
        self._socket.sendall(self._question)

    def answer(self) -> float:
        """Read the whole answer; milliseconds since the question."""
        status = self._file.readline()
        if b" 200 " not in status:
            raise AssertionError(status)
        headers = http.client.parse_headers(self._file)
        if "chunked" in headers.get("transfer-encoding", ""):
            while size := int(self._file.readline(), 16):
                self._file.read(size + 2)
            self._file.readline()
        else:
            self._file.read(int(headers["content-length"]))
        return 1000 * (time.perf_counter() - self._begin)


def cheap(port: str = "43800", headers: str = HEADERS, connections: str = "8") -> dict[str, float]:
    """The same cheap question over eight connections at once, several times: one worker may get most of them."""
    latencies: list[float] = []
    begin = time.perf_counter()
    for _ in range(TURNS):
        latencies += _over_connections(1000, [Connection(CHEAP, int(port), headers) for _ in range(int(connections))])
    rate = len(latencies) / (time.perf_counter() - begin)
    return {"requests a second": rate, "p50 ms": _part(latencies, 0.5), "p99 ms": _part(latencies, 0.99)}


def _over_connections(times: int, connections: list[Connection]) -> list[float]:
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ, data=connection)
            connection.ask()
        while len(latencies) < times:
            for key, _ in selector.select():
                latencies.append(key.data.answer())
                key.data.ask()
    for connection in connections:
        connection.close()
    return latencies


def once(path: str) -> float:
    """One question over a connection of its own, as a probe asks."""
    connection = Connection(path)
    connection.ask()
    milliseconds = connection.answer()
    connection.close()
    return milliseconds


def each(*paths: str) -> list[float]:
    """Seconds of one question after the other, each over a connection of its own."""
    return [once(path) / 1000 for path in paths]


def beside(path: str) -> list[float]:
    """Seconds of a question while somebody else makes some small calls a second."""
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(once, path)
        while not asked.done():
            once(CHEAP)
            time.sleep(1 / SMALL_CALLS)
        return [asked.result() / 1000]


def searches(path: str = SEARCH, seconds: str = str(SECONDS)) -> dict[str, float]:
    """What a probe waits for, over a connection of its own each time, while three searches run all the time.

    The searches are those of another process: what they do to this one would be measured as well.
    """
    command = [sys.executable, __file__, "search_on", path, seconds]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as searching:
        probes = _until_the_end(CHEAP, float(seconds), pause=0.05)
        durations = json.loads(searching.communicate()[0])
    found = {"probe p50 ms": _part(probes, 0.5), "probe p99 ms": _part(probes, 0.99)}
    return found | {"search p50 ms": _part(durations, 0.5)}


def search_on(path: str, seconds: str) -> list[float]:
    """Milliseconds of each search of three users who search all the time."""
    with ThreadPoolExecutor() as pool:
        searching = [pool.submit(_until_the_end, path, float(seconds)) for _ in range(SEARCHES)]
        return [duration for done in searching for duration in done.result()]


def _until_the_end(path: str, seconds: float, pause: float = 0) -> list[float]:
    end, durations = time.monotonic() + seconds, []
    while time.monotonic() < end:
        durations.append(once(path))
        time.sleep(pause)
    return durations


def probes(stop: str) -> dict[str, float]:
    """What somebody waits for who asks for something small twenty times a second, until a file is there."""
    latencies = []
    while not Path(stop).exists():
        latencies.append(once(CHEAP))
        time.sleep(0.05)
    return {"p50 ms": _part(latencies, 0.5), "p99 ms": _part(latencies, 0.99)}


def _part(values: list[float], part: float) -> float:
    return sorted(values)[int(len(values) * part)]


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))

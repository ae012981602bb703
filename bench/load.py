"""Asks for one path over eight kept-alive connections, a given number of times; prints rate and latencies as JSON."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time

CONNECTIONS = 8


def ask(path: str, times: int, latencies: list[float]) -> None:
    """Ask again and again over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", 43800, timeout=30)
    for _ in range(times):
        begin = time.perf_counter()
        connection.request("GET", path)
        connection.getresponse().read()
        latencies.append(time.perf_counter() - begin)


def main(path: str, times: int) -> None:
    """Ask over all connections at once."""
    latencies: list[float] = []
    threads = [threading.Thread(target=ask, args=(path, times, latencies)) for _ in range(CONNECTIONS)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(latencies) / (time.perf_counter() - begin)
    latencies.sort()
    p50, p99 = (1000 * latencies[int(len(latencies) * part)] for part in (0.5, 0.99))
    print(json.dumps({"requests a second": rate, "p50 ms": p50, "p99 ms": p99}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""Sends requests byte by byte, from within the network of a pod: `python asker.py`, one request a line of JSON.

Runs by itself, so it imports nothing of the project.
"""

from __future__ import annotations

import json
import socket
import sys
from contextlib import suppress

_SECONDS = 30


def answer(port: int, request: bytes) -> bytes:
    """What a server says to some bytes until it closes the connection, has switched protocols, or says no more."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection, suppress(TimeoutError):
        connection.sendall(request)
        while not received.startswith(b"HTTP/1.1 101"):
            part = connection.recv(65536)
            if not part:
                break
            received += part
    return received


def main() -> None:
    """Answer each line with one line."""
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            received = answer(asked["port"], asked["request"].encode("latin-1"))
        except OSError as error:
            received = f"{type(error).__name__}: {error}".encode()
        print(json.dumps(received.decode("latin-1")), flush=True)


if __name__ == "__main__":
    main()

"""A real S3 server on this machine's loopback: versitygw, built once from its Go module; buckets are folders."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.harness.go_tools import built

KEYS = {"id": "access", "secret": "secret-key"}
"""Access key id and secret access key."""


@contextlib.contextmanager
def serving(folder: Path, *, bucket: str, port: int = 0) -> Iterator[str]:
    """Serve a bucket from a folder, which is made where it is not there; its URL."""
    (folder / bucket).mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    credentials = ["--access", KEYS["id"], "--secret", KEYS["secret"]]
    command = [str(program()), "--port", f"127.0.0.1:{port}", *credentials, "posix", str(folder)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def program() -> Path:
    """The binary, built once for each state of its go.mod: a minute on two cores."""
    return built(Path(__file__).parent, "github.com/versity/versitygw/cmd/versitygw")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)

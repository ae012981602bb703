"""A real S3 server on this machine's loopback: versitygw, built once from its Go module; buckets are folders."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.harness.sandbox import skip

_PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
_MODULE = Path(__file__).parent

KEYS = {"id": "access", "secret": "secret-key"}
"""Access key id and secret access key."""


@contextlib.contextmanager
def serving(folder: Path, *, bucket: str, port: int = 0) -> Iterator[str]:
    """Serve a bucket from a folder, which is made where it is not there; its URL."""
    binary = built()
    (folder / bucket).mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    credentials = ["--access", KEYS["id"], "--secret", KEYS["secret"]]
    command = [str(binary), "--port", f"127.0.0.1:{port}", *credentials, "posix", str(folder)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def built() -> Path:
    """The binary, built once for each state of its go.mod: a minute on two cores."""
    state = hashlib.sha256((_MODULE / "go.mod").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "aim-on-kubernetes")
    binary = cache / f"versitygw-{state}"
    if binary.exists():
        return binary
    if not shutil.which("go"):
        skip("no go on PATH: the S3 server is built from its module")
    cache.mkdir(parents=True, exist_ok=True)
    building = cache / f"building-versitygw-{os.getpid()}"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    build = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(building), _PACKAGE]
    subprocess.run(build, cwd=_MODULE, check=True, env=environment)
    building.rename(binary)
    return binary


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

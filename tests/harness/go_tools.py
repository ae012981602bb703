"""Programs that Debian has no package of: built from their Go modules, once for each state of a module."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.harness.sandbox import skip


def built(module: Path, package: str) -> Path:
    """The binary of a package; a test that is the first to need it waits for the build, a minute or more on two cores.

    Args:
        module: folder with the go.mod that pins it.
        package: its import path.
    """
    need("go")
    state = hashlib.sha256((module / "go.mod").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "aim-on-kubernetes")
    binary = cache / f"{package.replace('/', '-')}-{state}"
    if not binary.exists():
        cache.mkdir(parents=True, exist_ok=True)
        building = cache / f"building-{os.getpid()}"
        build: list[str | Path] = ["go", "build", "-trimpath", "-o", building, package]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        subprocess.run(build, cwd=module, check=True, env=environment)
        building.rename(binary)
    return binary


def need(*commands: str) -> None:
    """Skip the test where the machine lacks a command."""
    missing = [name for name in commands if not shutil.which(name)]
    if missing:
        skip(f"no {', '.join(missing)} on PATH: programs are built from their Go modules")

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
    binary = cached(package, module / "go.mod")
    if not binary.exists():
        building = binary.with_name(f"building-{os.getpid()}")
        build: list[str | Path] = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", building, package]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        subprocess.run(build, cwd=module, check=True, env=environment)
        building.rename(binary)
    return binary


def cached(name: str, *pins: Path) -> Path:
    """Where something is kept that is made once for each state of the files which pin it."""
    state = hashlib.sha256(b"".join(file.read_bytes() for file in pins)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "aim-on-kubernetes")
    cache.mkdir(parents=True, exist_ok=True)
    return cache / f"{name.replace('/', '-')}-{state}"


def need(*commands: str) -> None:
    """Skip the test where the machine lacks a command."""
    missing = [name for name in commands if not shutil.which(name)]
    if missing:
        skip(f"no {', '.join(missing)} on PATH: programs are built from their Go modules")

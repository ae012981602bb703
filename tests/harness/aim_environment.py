"""Installs the real Aim for the tests, in an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = (ROOT / ".venv-aim").resolve()
PYTHON = ENVIRONMENT / "bin/python"
PATH = f"{ENVIRONMENT}/bin:/usr/bin:/bin"
"""Where commands are found: Aim's environment first."""
MISSING = "no Python 3.9 to 3.12 (but 3.12.0 to 3.12.2) on PATH: Aim has no wheels for others"

# python/cpython#113964: in 3.12.0 to 3.12.2 Aim's clients cannot finish their runs
_FIT = "import sys; sys.exit(not ((3, 9) <= sys.version_info < (3, 12) or (3, 12, 3) <= sys.version_info < (3, 13)))"


def python() -> str | None:
    """An interpreter that Aim 3.29.1 has wheels for."""
    candidates = ["python3", "python3.11", "python3.12", "python3.10", "python3.9"]
    found = (shutil.which(name) for name in candidates)
    return next((path for path in found if path and _fits(path)), None)


def _fits(path: str) -> bool:
    return subprocess.run([path, "-c", _FIT], capture_output=True, check=False).returncode == 0


def run(script: Path, *arguments: object, given: str = "", within: Sequence[str] = (), seconds: float = 600) -> str:
    """Run a script where Aim and the supervisor's package are; what it prints.

    Aim's answers follow the order of sets of text, so that hashes are the same each time.

    Args:
        script: the script.
        arguments: of the script.
        given: its standard input.
        within: a command that runs it, such as one that limits it. Default: none.
        seconds: how long it may take. Default: 600.
    """
    environment = {"PYTHONPATH": str(ROOT / "constructs_lib"), "PATH": PATH, "PYTHONHASHSEED": "0"}
    command = [*within, *map(str, (PYTHON, script, *arguments))]
    done = subprocess.run(
        command, env=environment, input=given, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def main() -> int:
    """Make the environment, or say why there is none: the tests that need it are skipped then."""
    interpreter = python()
    if not interpreter:
        print(f"make: {MISSING}; the tests that run it will be skipped", file=sys.stderr)
        return 0
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([interpreter, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    return subprocess.run([*pip, "-r", ROOT / "tests/aim-requirements.txt"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

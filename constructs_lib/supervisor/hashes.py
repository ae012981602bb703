"""Hashes by which Aim names runs: each becomes part of a path, and of restic's command line."""

from __future__ import annotations

import os
import re
from pathlib import Path

_HASH = re.compile(r"[0-9a-f]{24}")

REMEDY = "write its 24 digits, as the address of its page has them"
"""What to write instead of a text that is none."""


def is_hash(text: str) -> bool:
    """Whether a text can be the hash of a run."""
    return _HASH.fullmatch(text) is not None


def runs_of(repository: Path) -> set[str]:
    """Names of the runs of a repository: its folders of parameters, and no file that somebody has left there.

    Raises:
        OSError: it cannot be read.
    """
    with os.scandir(repository / "meta/chunks") as entries:
        return {entry.name for entry in entries if entry.is_dir()}

"""Notes on the volume, of what backups and drills have come to: the metrics of the server beside them tell it."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from .files import read_plain, replace_plain

BACKUP = ".aim-backup"
"""Beside `.aim`: what backups need on the volume."""

_MOST = 2**20
"""Bytes of a file."""

LAST_ATTEMPT = f"{BACKUP}/last-attempt.json"
LAST_BACKUP = f"{BACKUP}/last-backup.json"
LAST_DRILL = f"{BACKUP}/last-drill.json"


def note(path: Path, **values: Any) -> None:
    """Write a file of JSON, at once."""
    path.parent.mkdir(exist_ok=True)
    replace_plain(path, json.dumps({"finished": time.time(), **values}) + "\n")


def note_attempt(volume: Path) -> None:
    """Note that a backup begins, and when the first one has begun that no success has followed."""
    begun = time.time()
    tried = read_json(volume / LAST_ATTEMPT).get("tried", 0)
    succeeded = read_json(volume / LAST_BACKUP).get("finished", 0)
    note(volume / LAST_ATTEMPT, begun=begun, tried=tried if tried > succeeded else begun)


def read_json(path: Path) -> dict[str, Any]:
    """A file of JSON; empty where there is none, half of one, or something else."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(read_plain(path, most=_MOST))
        return found if isinstance(found, dict) else {}
    return {}

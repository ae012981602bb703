"""Notes on the volume, of what backups and drills have come to: the metrics of the server beside them tell it."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

BACKUP = ".aim-backup"
"""Beside `.aim`: what backups need on the volume."""

LAST_ATTEMPT = f"{BACKUP}/last-attempt.json"
LAST_BACKUP = f"{BACKUP}/last-backup.json"
LAST_DRILL = f"{BACKUP}/last-drill.json"


def note(path: Path, **values: Any) -> None:
    """Write a file of JSON, at once."""
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps({"finished": time.time(), **values}) + "\n", encoding="utf-8")
    fresh.replace(path)


def note_attempt(volume: Path) -> None:
    """Note that a backup begins, and when the first one has begun that no success has followed."""
    begun = time.time()
    tried = read_json(volume / LAST_ATTEMPT).get("tried", 0)
    succeeded = read_json(volume / LAST_BACKUP).get("finished", 0)
    note(volume / LAST_ATTEMPT, begun=begun, tried=tried if tried > succeeded else begun)


def read_json(path: Path) -> dict[str, Any]:
    """A file of JSON; empty where there is none, or half of one."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}

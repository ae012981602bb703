"""Notes on the volume what a backup or a drill has come to, for the metrics of the server beside it."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from pathlib import Path
from typing import Any

from . import Refusal, say
from .staging import BACKUP, COPY, SUMMARY, discard

LAST_BACKUP = f"{BACKUP}/last-backup.json"
LAST_DRILL = f"{BACKUP}/last-drill.json"

_TERMINATION_MESSAGE = Path("/dev/termination-log")
"""What `kubectl describe pod` shows of a container that has ended; the kubelet makes the file."""


def finish(options: argparse.Namespace) -> None:
    """Note that the staged copy is in the target, and remove it.

    Raises:
        Refusal: there is no staged copy.
    """
    volume = Path(options.repository)
    summary = read_json(volume / COPY / SUMMARY)
    if not summary:
        raise Refusal(f"{volume / COPY} has no {SUMMARY}: the copy was removed by another backup; run one at a time")
    note(volume / LAST_BACKUP, made=summary["made"], runs=summary["runs"])
    discard(volume / COPY)
    conclude(f"copied {summary['runs']} runs, {summary['in_progress']} of them in progress")


def note(path: Path, **values: Any) -> None:
    """Write a file of JSON, at once."""
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps({"finished": time.time(), **values}) + "\n", encoding="utf-8")
    fresh.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """A file of JSON; empty where there is none, or half of one."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def conclude(text: str) -> None:
    """Say how it ended, also in the message of the container."""
    say(text)
    if _TERMINATION_MESSAGE.exists():
        with contextlib.suppress(OSError):
            _TERMINATION_MESSAGE.write_text(f"{text}\n", encoding="utf-8")

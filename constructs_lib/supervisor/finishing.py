"""Ends a backup: notes its success, and says how it ended."""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path

from . import Refusal, say
from .notes import LAST_BACKUP, note, read_json
from .staging import COPY, SUMMARY, discard

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
    first = read_json(volume / LAST_BACKUP).get("first") or time.time()
    number = summary.get("number", 0) + 1
    note(volume / LAST_BACKUP, made=summary["made"], runs=summary["runs"], number=number, first=first)
    discard(volume / COPY)
    conclude(f"copied {summary['runs']} runs, {summary['in_progress']} of them in progress")


def conclude(text: str) -> None:
    """Say how it ended, also in the message of the container."""
    say(text)
    if _TERMINATION_MESSAGE.exists():
        with contextlib.suppress(OSError):
            _TERMINATION_MESSAGE.write_text(f"{text}\n", encoding="utf-8")

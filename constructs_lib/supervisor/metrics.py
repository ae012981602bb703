"""Numbers for Prometheus, in its text format.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Any

from .notes import LAST_ATTEMPT, LAST_BACKUP, LAST_DRILL, read_json
from .threads import in_thread
from .trash import count

_SAMPLE_SECONDS = 15

HELP = {
    "aim_up": "Whether the web server has answered the last time that it was asked.",
    "aim_state": "1 for the state of the server, 0 for others.",
    "aim_runs": "Runs in the repository.",
    "aim_runs_running": "Runs that are being written.",
    "aim_runs_waiting": "Runs that are not indexed yet, or not as they are now: searches do not find what is new.",
    "aim_runs_unreadable": "Runs that cannot be read.",
    "aim_index_lag_seconds": "For how long the one of them that waits longest has been waiting; 0 where none waits.",
    "aim_index_changed_timestamp_seconds": "When a change of a run was indexed last.",
    "aim_refused_requests_total": "Requests that were refused, by the guard that has refused them.",
    "aim_lock_waits_total": "Starts that had to wait for the lock on the volume.",
    "aim_worker_restarts_total": "Processes of the web server that have ended and were replaced, by what ended them.",
    "aim_trash_runs": "Deleted runs on the volume, which take room until the trash is emptied.",
    "aim_volume_size_bytes": "Size of the file system that the runs are on.",
    "aim_volume_used_bytes": "Bytes of it that are used, whatever by.",
    "aim_volume_free_bytes": "Bytes of it that are free.",
    "aim_backup_started_timestamp_seconds": "When the last backup has begun, whatever has become of it.",
    "aim_backup_tried_timestamp_seconds": "When the first backup has begun that no success had followed by then.",
    "aim_backup_first_success_timestamp_seconds": "When the first successful backup has ended.",
    "aim_backup_last_success_timestamp_seconds": "When the last successful backup has ended.",
    "aim_backup_made_timestamp_seconds": "From which time its copy is: what was recorded before is in it.",
    "aim_backup_runs": "Runs in it.",
    "aim_drill_timestamp_seconds": "When the last restore drill has ended.",
    "aim_drill_succeeded": "Whether all runs of the newest copy could be read then.",
    "aim_drill_runs": "Runs that could be read then.",
}
"""Every metric, and what it is; names that end with `_total` are counters."""

REFUSED = "aim_refused_requests_total"
STATES = ("starting", "ready", "unready", "stopping")


class Metrics:
    """Values, by names and labels."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, float]] = {"aim_lock_waits_total": {"": 0.0}}
        self._since: dict[str, float] = {}

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._values.setdefault(name, {})[_labels(labels)] = float(value)

    def set_since(self, name: str, since: float) -> None:
        """Set a gauge to the seconds since a time, which grow until the next call; 0 is no time, and gives 0."""
        self._since[name] = since

    def count(self, name: str, times: int = 1, **labels: str) -> None:
        """Add to a counter; 0 makes it known, so that its first increase is seen as one."""
        values = self._values.setdefault(name, {})
        values[_labels(labels)] = values.get(_labels(labels), 0.0) + times

    def text(self) -> str:
        """All of them, as Prometheus reads them."""
        lines = []
        for name, since in self._since.items():
            self.set(name, max(0.0, time.time() - since) if since else 0.0)
        for name in [name for name in HELP if name in self._values]:
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{labels} {value!r}" for labels, value in self._values[name].items()]
        return "".join(f"{line}\n" for line in lines)


def _labels(labels: dict[str, str]) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    inside = ",".join(f'{name}="{escaped(text)}"' for name, text in labels.items())
    return f"{{{inside}}}" if inside else ""


async def watch_volume(volume: Path, metrics: Metrics) -> None:
    """Look at the volume for ever: its room, and what backups and drills have noted on it."""
    while True:
        with contextlib.suppress(OSError, ValueError, OverflowError):
            for name, value in (await in_thread(_sample, volume)).items():
                metrics.set(name, value)
        await asyncio.sleep(_SAMPLE_SECONDS)


def _sample(volume: Path) -> dict[str, float]:
    room = os.statvfs(volume)
    values: dict[str, Any] = {
        "aim_trash_runs": count(volume),
        "aim_volume_size_bytes": room.f_blocks * room.f_frsize,
        "aim_volume_used_bytes": (room.f_blocks - room.f_bfree) * room.f_frsize,
        "aim_volume_free_bytes": room.f_bavail * room.f_frsize,
    }
    attempt, backup, drill = (read_json(volume / name) for name in (LAST_ATTEMPT, LAST_BACKUP, LAST_DRILL))
    if attempt:
        values["aim_backup_started_timestamp_seconds"] = attempt.get("begun")
        values["aim_backup_tried_timestamp_seconds"] = attempt.get("tried")
    if backup:
        values["aim_backup_first_success_timestamp_seconds"] = backup.get("first")
        values["aim_backup_last_success_timestamp_seconds"] = backup.get("finished")
        values["aim_backup_made_timestamp_seconds"] = backup.get("made")
        values["aim_backup_runs"] = backup.get("runs")
    if drill:
        values["aim_drill_timestamp_seconds"] = drill.get("finished")
        values["aim_drill_succeeded"] = drill.get("succeeded")
        values["aim_drill_runs"] = drill.get("runs")
    return {name: float(value) for name, value in values.items() if isinstance(value, (int, float))}

"""Makes the rows of many runs, and their folders, without the time that Aim takes for each: `python many_runs.py ...`.

Runs in Aim's environment, so it imports nothing of the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import time
from pathlib import Path

_DESCRIPTION = "what a team writes about one of its runs, which is a sentence or two; " * 4


def hashes(count: int) -> list[str]:
    """Names of runs, such as Aim gives them."""
    return [f"{number:024x}" for number in range(count)]


def make_rows(volume: Path, count: int) -> None:
    """Add rows to the database of runs: each with a description, an experiment and two of ten tags."""
    now = "2025-01-02 03:04:05.000000"
    with contextlib.closing(sqlite3.connect(volume / ".aim/run_metadata.sqlite")) as database:
        insert = database.executemany
        insert(
            "INSERT INTO experiment (id, uuid, name, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
            [(number, f"e{number}", f"experiment {number}", now, now) for number in range(1, 11)],
        )
        insert(
            "INSERT INTO tag (id, uuid, name, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
            [(number, f"t{number}", f"tag {number}", now, now) for number in range(1, 11)],
        )
        insert(
            "INSERT INTO run (id, hash, name, description, is_archived, created_at, updated_at, experiment_id) "
            "VALUES (?, ?, ?, ?, 0, ?, ?, ?)",
            [
                (number, run, f"Run: {run}", _DESCRIPTION, now, now, number % 10 + 1)
                for number, run in enumerate(hashes(count), 1)
            ],
        )
        insert(
            "INSERT INTO run_tag (run_id, tag_id) VALUES (?, ?)",
            [(number, (number + other) % 10 + 1) for number in range(1, count + 1) for other in range(2)],
        )
        database.commit()


def make_folders(volume: Path, count: int) -> None:
    """Add folders of runs that have ended, each with a parameter."""
    from aim.storage.rockscontainer import RocksContainer

    for number, run in enumerate(hashes(count)):
        container = RocksContainer(str(volume / ".aim/meta/chunks" / run), read_only=False)
        ended = {"attrs": {"number": number}, "end_time": time.time()}
        container.tree()["meta"] = {"attrs": {"number": number}, "chunks": {run: ended}}
        container.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("volume", type=Path)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--folders", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.rows:
        make_rows(arguments.volume, arguments.rows)
    make_folders(arguments.volume, arguments.folders)

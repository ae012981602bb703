"""What the parent process of `aim up` does: the indexer of the repository."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from . import Refusal
from .repository import open_repository, prepare_web_server


def index(options: argparse.Namespace) -> None:
    """Prepare the repository, say so, and index until told to stop or until a thread of the indexer dies."""
    from aim.sdk.index_manager import RepoIndexManager
    from aim.sdk.run_status_manager import RunStatusManager

    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    volume = Path(options.repository)
    repository = open_repository(volume)
    prepared = prepare_web_server(volume, repository, options)
    reasons: dict[str, str] = {}
    threading.excepthook = lambda death: _note_death(reasons, death)
    indexer, statuses = RepoIndexManager.get_index_manager(repository), RunStatusManager(repository)
    indexer.start()
    statuses.start()
    with os.fdopen(options.ready_fd, "w", encoding="utf-8") as answer:
        json.dump(prepared, answer)
    threads = {
        "indexing": indexer._index_thread,
        "finding new runs": indexer._monitor_thread,
        "watching for new runs": indexer.new_chunk_observer,
        "watching running runs": indexer.chunk_change_observer,
        "closing lost runs": statuses._monitor_thread,
    }
    _watch_threads(threads, reasons, stopping)
    end = time.monotonic() + 3
    while indexer.indexing_queue.unfinished_tasks and time.monotonic() < end:
        time.sleep(0.05)


def _note_death(reasons: dict[str, str], death: Any) -> None:
    sys.__excepthook__(death.exc_type, death.exc_value, death.exc_traceback)
    reasons[death.thread.name] = f"{death.exc_type.__name__}: {death.exc_value}"


def _watch_threads(threads: dict[str, threading.Thread], reasons: dict[str, str], stopping: threading.Event) -> None:
    while not stopping.wait(1):
        for task, thread in threads.items():
            if not thread.is_alive():
                raise Refusal(f"Aim's thread for {task} died: {reasons.get(thread.name, 'for no reason that it told')}")

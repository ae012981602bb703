"""What the parent process of `aim up` does: the indexer of the repository."""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

from . import Refusal
from .repository import open_repository

_AGAIN_SECONDS = 30


def index(
    volume: Path, *, ready: Callable[[], object], progress: Callable[[str], None], stopping: threading.Event
) -> None:
    """Index new runs until told to stop or until a thread of the indexer dies."""
    from aim.sdk.index_manager import RepoIndexManager
    from aim.sdk.run_status_manager import RunStatusManager

    repository = open_repository(volume)
    reasons: dict[str, str] = {}
    threading.excepthook = lambda death: _note_death(reasons, death)
    indexer, statuses = RepoIndexManager.get_index_manager(repository), RunStatusManager(repository)
    indexer.start()
    statuses.start()
    ready()
    progress("new runs are indexed")
    threads = {
        "indexing": indexer._index_thread,
        "finding new runs": indexer._monitor_thread,
        "watching for new runs": indexer.new_chunk_observer,
        "watching running runs": indexer.chunk_change_observer,
        "closing lost runs": statuses._monitor_thread,
    }
    for second in itertools.count(1):
        if stopping.wait(1):
            break
        _check_threads(threads, reasons)
        if second % _AGAIN_SECONDS == 0:
            _look_again(indexer)
    end = time.monotonic() + 3
    while indexer.indexing_queue.unfinished_tasks and time.monotonic() < end:
        time.sleep(0.05)


def _note_death(reasons: dict[str, str], death: Any) -> None:
    sys.__excepthook__(death.exc_type, death.exc_value, death.exc_traceback)
    reasons[death.thread.name] = f"{death.exc_type.__name__}: {death.exc_value}"


def _check_threads(threads: dict[str, threading.Thread], reasons: dict[str, str]) -> None:
    for task, thread in threads.items():
        if not thread.is_alive():
            raise Refusal(f"Aim's thread for {task} died: {reasons.get(thread.name, 'for no reason that it told')}")


def _look_again(indexer: Any) -> None:
    """Index what is watched once more.

    Aim indexes a run when it changes. One that had ended before it was watched, or that was found half-made, would not
    be found by any search until the next start.
    """
    indexer._corrupted_runs.clear()
    for run in list(indexer._watches) if indexer.indexing_queue.empty() else ():
        with contextlib.suppress(OSError):  # it has been deleted
            indexer.add_run_to_queue(run)

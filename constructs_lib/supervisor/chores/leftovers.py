"""Removes what is left of runs that are gone: from the index, and files of theirs."""

from __future__ import annotations

from pathlib import Path

from .. import say
from ..hashes import is_hash
from ..index import prune_index
from ..patches.indexing import Index
from ..requests import alone_or_asked
from ..trash import put_sequences
from .task import Task

_LOCK_SECONDS = 30


def prune(task: Task) -> str:
    """Remove leftovers; sequences without parameters go to the trash. Returns the conclusion."""
    for path in leftovers(task):
        say(f"{task.would('removes', 'remove')} {path}")
        if task.apply:
            remove(task, path)
    index = Index(task.repository)
    if not index.is_there():
        return task.concluded("there is no index to prune")
    if not task.apply:
        with index.read() as container:
            return task.concluded(f"{len(index.orphans(container, task.names))} entries of the index are of no run")

    def alone() -> str:
        with index.opened(_LOCK_SECONDS) as container:
            return f"{prune_index(index, container, task.names)} entries of deleted runs are removed from the index"

    return alone_or_asked(task.volume, "prune", alone)


def leftovers(task: Task) -> list[Path]:
    """Files and folders of runs that are gone, which have not changed for a while."""
    repository = task.repository
    folders = [repository / name for name in ("seqs/chunks", "meta/progress", "check_ins", "locks")]
    found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    runs = set(task.names)  # after its sequences: of a run that comes back, its parameters come last
    return sorted(path for path in found if is_hash(_run_of(path)) and _run_of(path) not in runs and task.is_old(path))


def _run_of(path: Path) -> str:
    """The run of a file or folder; whoever has given a run another name than Aim does keeps all of it."""
    return path.name if path.parent.name == "chunks" else path.name.partition("-")[0].partition(".")[0]


def remove(task: Task, path: Path) -> None:
    """Remove what is left of a run, sequences to the trash; nothing of one that has come back meanwhile."""
    if (task.repository / "meta/chunks" / _run_of(path)).exists():
        return
    if path.is_dir():
        put_sequences(task.volume, path)
    else:
        path.unlink(missing_ok=True)


def reindex(task: Task) -> str:
    """Have the index built anew from the runs; returns the conclusion."""
    index = Index(task.repository)
    if not task.apply:
        return task.concluded(f"the index of {len(task.names)} runs is built anew; searches find few runs meanwhile")

    def alone() -> str:
        index.discard(index.move_aside("index.former"))
        return "no server runs: the index is removed, and built anew by the next one that starts"

    return alone_or_asked(task.volume, "reindex", alone)

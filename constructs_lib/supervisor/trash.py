"""The trash of a volume: runs that were deleted, until it is emptied.

A deleted run is a folder `.aim-trash/<time>-<run>` beside the repository, with what the repository had of it: its
stores, which are renamed and not copied, and its rows in a database of their own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import json
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import Refusal, say
from .databases import BUSY_SECONDS, uri_of
from .notes import read_json
from .rows import bring_back

TRASH = ".aim-trash"

KINDS = ("seqs", "meta")
"""Stores of a run, in the order in which they come back: the indexer finds a run by its parameters."""

_ROWS = "run_metadata.sqlite"
_NOTE = "trash.json"
_REMOVED = "removed"
_TABLES = {
    "run": "hash = :run",
    "experiment": "id IN (SELECT experiment_id FROM living.run WHERE hash = :run)",
    "run_tag": "run_id IN (SELECT id FROM living.run WHERE hash = :run)",
    "tag": "id IN (SELECT tag_id FROM living.run_tag WHERE run_id IN (SELECT id FROM living.run WHERE hash = :run))",
    "note": "run_id IN (SELECT id FROM living.run WHERE hash = :run)",
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A deleted run.

    Attributes:
        path: its folder in the trash.
        run: its hash.
        deleted: when, in seconds since the epoch.
        name: that people gave it.
    """

    path: Path
    run: str
    deleted: float
    name: str

    def __str__(self) -> str:
        """One line for people."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.deleted))
        return f"{self.run}, {self.name!r}, deleted {when} UTC"


def put(volume: Path, run: str) -> list[int]:
    """Move the stores of a run to the trash, and copy its rows there; returns its numbers in the database.

    Killed in between, the run is either in the repository or in the trash, or can be brought back with what is there.

    Args:
        volume: with the repository.
        run: hash of the run.

    Raises:
        OSError, sqlite3.Error, Refusal: the trash cannot be written, as on a full volume; the run is where it was.
    """
    repository, now = volume / ".aim", time.time()
    with _entry(volume, run, now) as entry:
        rows = _copy_rows(repository / _ROWS, entry / _ROWS, run)
        name = str(rows[0][1]) if rows else ""
        note = {"run": run, "deleted": now, "name": name}
        (entry / _NOTE).write_text(json.dumps(note) + "\n", encoding="utf-8")
        for kind in reversed(KINDS):
            with contextlib.suppress(FileNotFoundError):
                _move(repository / kind / "chunks" / run, entry / kind)
    for leftover in ("meta/progress", "seqs/progress", "meta/locks", "seqs/locks"):
        (repository / leftover / run).unlink(missing_ok=True)
    (repository / "locks" / f"{run}.softlock").unlink(missing_ok=True)
    return [number for number, _ in rows]


def put_sequences(volume: Path, sequences: Path) -> None:
    """Move a folder of sequences without parameters to the trash; its name is the hash of a run."""
    with _entry(volume, sequences.name, time.time()) as entry:
        _move(sequences, entry / "seqs")


@contextlib.contextmanager
def _entry(volume: Path, run: str, now: float) -> Iterator[Path]:
    """A new folder in the trash; none is left where nothing could be moved to it, as no run was deleted then."""
    entry = volume / TRASH / f"{now:.3f}-{run}"
    entry.mkdir(parents=True)
    try:
        yield entry
    except BaseException:
        if not any((entry / kind).exists() for kind in KINDS):
            with contextlib.suppress(OSError):
                for file in entry.iterdir():
                    file.unlink()
                entry.rmdir()  # which deletes no store
        raise


def _move(store: Path, to: Path) -> None:
    try:
        store.rename(to)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        remedy = f"let no volume be mounted at {TRASH}"
        raise Refusal(f"{to} is on another file system than {store}: {remedy}") from None


def _copy_rows(living: Path, to: Path, run: str) -> list[tuple[int, str]]:
    """Copy the rows of a run to a database of the same tables; returns its number and its name."""
    with contextlib.closing(sqlite3.connect(to, timeout=BUSY_SECONDS, uri=True)) as target:
        target.execute("ATTACH DATABASE ? AS living", [uri_of(living)])
        for table, condition in _TABLES.items():
            (create,) = target.execute("SELECT sql FROM living.sqlite_master WHERE name = ?", [table]).fetchone()
            target.execute(create)
            target.execute(f"INSERT INTO main.{table} SELECT * FROM living.{table} WHERE {condition}", {"run": run})
        target.commit()
        return target.execute("SELECT id, name FROM main.run").fetchall()


def entries(volume: Path) -> list[Entry]:
    """What is in the trash, the oldest first; also of deletions that were interrupted."""
    return [
        Entry(folder, run, deleted, str(read_json(folder / _NOTE).get("name") or ""))
        for folder, run, deleted in _folders(volume)
    ]


def count(volume: Path) -> int:
    """How many runs are in the trash; none of its files is opened."""
    return len([*_folders(volume)])


def _folders(volume: Path) -> Iterator[tuple[Path, str, float]]:
    for folder in sorted((volume / TRASH).glob("*-*")):
        stamp, _, run = folder.name.partition("-")
        with contextlib.suppress(ValueError):  # somebody else's folder has no time
            yield folder, run, float(stamp)


def take_back(volume: Path, run: str) -> Entry:
    """Bring a run back from the trash, with its rows, while a server goes on.

    Raises:
        Refusal: it is not in the trash, or the repository has it.
    """
    found, repository = [_claimed(entry) for entry in find(volume, run)], volume / ".aim"
    for entry in found:
        if _is_listed(entry.path / _ROWS):
            bring_back(entry.path / _ROWS, repository / _ROWS, run)
    for kind, entry in itertools.product(KINDS, found):
        with contextlib.suppress(FileNotFoundError):
            _move(entry.path / kind, repository / kind / "chunks" / run)
    for entry in found:
        remove(entry)
    return found[0]


def find(volume: Path, run: str) -> list[Entry]:
    """Find what a run can be brought back from: two entries where its deletion broke off, and was repeated.

    Raises:
        Refusal: it is not in the trash, or the repository has it.
    """
    found = _newest(volume, run)
    if (volume / ".aim/meta/chunks" / run).exists() and (found[0].path / "meta").exists():
        raise Refusal(f"run {run} is in the repository: nothing is overwritten; delete it first")
    return found


def _newest(volume: Path, run: str) -> list[Entry]:
    """The entry that has most of a run, as sequences alone, that were pruned, may be newer; and what it lacks."""
    of_run = [each for each in entries(volume) if each.run == run]
    whole, sequences = ([each for each in of_run if (each.path / kind).exists()] for kind in reversed(KINDS))
    if not whole and not sequences:
        raise Refusal(f"the trash has no run {run}: it was emptied, or the run was never deleted; try a backup")
    if not whole or whole[-1] in sequences:
        return (whole or sequences)[-1:]
    return [whole[-1], *[each for each in sequences if each not in whole][-1:]]


def _claimed(entry: Entry) -> Entry:
    """The entry under the time of now: whoever empties the trash of what is old finds it no more."""
    path = entry.path.with_name(f"{time.time():.6f}-{entry.run}")
    return dataclasses.replace(entry, path=entry.path.rename(path))


def _is_listed(rows: Path) -> bool:
    if not rows.exists():  # of sequences that were pruned
        return False
    with contextlib.closing(sqlite3.connect(rows)) as database:
        return database.execute("SELECT 1 FROM run").fetchone() is not None


def remove(entry: Entry) -> None:
    """Remove an entry for good.

    Raises:
        FileNotFoundError: it was brought back, or removed.
    """
    if entry.path.parent.name != TRASH:
        raise ValueError(entry.path)
    entry.path.rename(entry.path.with_name(f"{_REMOVED}.{entry.path.name}"))
    for removed in entry.path.parent.glob(f"{_REMOVED}.*"):  # also what a killed one has left
        shutil.rmtree(removed)


def empty(listed: Iterable[Entry], *, apply: bool) -> int:
    """Remove entries for good, and say which; returns how many.

    Args:
        listed: the entries.
        apply: remove them; otherwise say only what would be removed.
    """
    count = 0
    for entry in listed:
        with contextlib.suppress(FileNotFoundError):  # brought back meanwhile
            if apply:
                remove(entry)
            say(f"{'removed' if apply else 'would remove'} run {entry}")
            count += 1
    return count

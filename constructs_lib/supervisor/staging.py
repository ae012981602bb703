"""Stages a consistent copy of a repository while its server and its writers go on.

Measured with two writers at full speed: a plain copy of such a repository, by `cp`, by tar or by restic, has runs in it
that cannot be opened. This one has none, because of its order:

1. the databases, by SQLite's own backup: every run that is listed has its folders by then;
2. small files, and the names of the runs in progress: one without an end that is not among them is active for ever;
3. of each run, the sequences, and then the parameters: of those that are listed, and of those that had lost their row.

A run is a RocksDB: its tables never change, its logs only grow, and its manifest says which of them belong together. So
tables are linked where the file system has hard links, everything else is copied, and a run whose manifest has changed
meanwhile is copied again. The index is derived, and left out, as locks and check-ins of living processes are.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Callable

from . import Refusal, say
from .databases import open_database
from .hashes import runs_of
from .notes import BACKUP, LAST_BACKUP, note_attempt, read_json
from .trash import KINDS

COPY = f"{BACKUP}/copy"
"""The staged copy: a folder with `.aim` in it, removed when the next one is made."""

BEFORE_MIGRATION = f"{BACKUP}/before-migration"
"""Databases as they were before a newer Aim has migrated them."""

RESTORING = f"{BACKUP}/restoring"
"""There while a repository is replaced by a restored one: without it, a server would begin an empty one."""

SUMMARY = "copy.json"
"""Beside the `.aim` of a copy: what is in it. It is written last, so that a copy without one is half-made."""

FILES = "files.txt"
"""Beside the `.aim` of a copy: of each run, how many files it has, as lines of both."""

DATABASES = ("run_metadata.sqlite", "aim_db")

_SMALL = ("VERSION", "ENCRYPTION_KEY", ".project_settings")
_MOST_ATTEMPTS = 100
_HALF_MADE_ATTEMPTS = 5
"""So often a run without a CURRENT is looked at: a trainer may have been killed while it made the folder."""

_NO_LINKS = {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}

Link = Callable[[Path, Path], object]
"""Makes a second name of a file that never changes."""


@dataclasses.dataclass
class Summary:
    """What is in a copy.

    Attributes:
        made: seconds since the epoch when the databases were copied: whatever was acknowledged before is in the copy.
        runs: how many there are.
        in_progress: of them, being written.
        repeated: how often a run had to be copied again.
        incomplete: runs of which a killed trainer has left no more than a folder.
        linked: whether tables are linked, and not copied.
        number: how many copies were made on this volume before, and succeeded.
        files: of the repository; restic leaves out what it cannot read, and keeps the rest as a snapshot.
        unlisted: runs that are not in the database: where an older one was put in its place, or just begun.
    """

    made: float
    runs: int = 0
    in_progress: int = 0
    repeated: int = 0
    incomplete: int = 0
    linked: bool = True
    number: int = 0
    files: int = 0
    unlisted: int = 0

    def write(self, folder: Path) -> None:
        """Write it beside the copy."""
        (folder / SUMMARY).write_text(json.dumps(dataclasses.asdict(self)) + "\n", encoding="utf-8")


def stage(options: argparse.Namespace) -> None:
    """Stage a copy of the repository of a volume.

    Raises:
        Refusal: there is none, or a run of it does not hold still.
    """
    volume = Path(options.repository)
    begin = time.monotonic()
    with contextlib.suppress(OSError):  # a full volume is said by what follows
        note_attempt(volume)
    summary = stage_copy(volume)
    way = "links" if summary.linked else "copies, as the file system has no hard links"
    say(
        f"staged {summary.runs} runs, {summary.in_progress} of them in progress, in {time.monotonic() - begin:.1f} s "
        f"by {way}; {summary.repeated} had to be repeated, {summary.incomplete} are incomplete, "
        f"{summary.unlisted} are in no database"
    )


def stage_copy(volume: Path, *, link: Link = os.link) -> Summary:
    """Copy the repository of a volume to its staging folder, in place of what is there.

    Args:
        volume: with a repository, that others write to meanwhile.
        link: makes a second name of a file. Default: a hard link.

    Raises:
        Refusal: there is no repository, or a run of it does not hold still.
    """
    repository, folder = volume / ".aim", volume / COPY
    for name in ("VERSION", DATABASES[0]):
        if not (repository / name).exists():
            raise Refusal(f"{repository} is no Aim repository, it has no {name}: there is nothing to copy")
    discard(folder)
    folder.mkdir(parents=True)
    try:
        summary = _Copy(repository, folder / ".aim", link).make()
    except BaseException:  # on a full volume, it would take the room that trainers need until the next copy
        discard(folder)
        raise
    summary.number = read_json(volume / LAST_BACKUP).get("number", 0)
    summary.write(folder)
    return summary


def discard(folder: Path) -> None:
    """Remove a folder of a staged copy, where it is there; no other."""
    if BACKUP not in folder.parts:
        raise ValueError(folder)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


class _Copy:
    """A copy in the making."""

    def __init__(self, repository: Path, to: Path, link: Link) -> None:
        self.repository, self.to = repository, to
        self.summary = Summary(made=time.time())
        self._link = link

    def make(self) -> Summary:
        """Copy everything, in the order that this module explains."""
        self.to.mkdir()
        before = runs_of(self.repository)
        for name in DATABASES:
            copy_database(self.repository / name, self.to / name)
        for name in _SMALL:
            with contextlib.suppress(FileNotFoundError):
                shutil.copy2(self.repository / name, self.to / name)
        running = self._note_running()
        listed = listed_runs(self.to)
        unlisted = before.difference(listed)  # also that of a trainer that lists it in this moment
        for kind in KINDS:
            (self.to / kind / "chunks").mkdir(parents=True, exist_ok=True)
            for run in (*listed, *sorted(unlisted)):
                self._copy_run(Path(kind, "chunks", run))
        made = runs_of(self.to)
        self.summary.runs, self.summary.in_progress = len(made), len(running & made)
        self.summary.unlisted, self.summary.files = len(unlisted & made), count_files(self.to)
        lines = (f"{run} {_files_of(self.to, run)}\n" for run in sorted(made))
        self.to.with_name(FILES).write_text("".join(lines), encoding="utf-8")
        return self.summary

    def _note_running(self) -> set[str]:
        folder = self.to / "meta/progress"
        folder.mkdir(parents=True)
        running = {path.name for path in (self.repository / "meta/progress").iterdir()}
        for name in running:
            (folder / name).touch()
        return running

    def _copy_run(self, path: Path) -> None:
        """Copy one RocksDB, again and again until its manifest has not changed meanwhile."""
        rocks, to = self.repository / path, self.to / path
        for attempt in range(_MOST_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):  # a table was compacted away, or the run is gone
                if self._is_copied(rocks, to, attempt):
                    return
            discard(to)
            if not rocks.exists():
                return  # deleted, or without any sequence
            self.summary.repeated += 1
            time.sleep(0.01 * attempt)
        raise Refusal(f"{rocks} has changed during each of {_MOST_ATTEMPTS} copies of it: is the volume very slow?")

    def _is_copied(self, rocks: Path, to: Path, attempt: int) -> bool:
        """Copy one RocksDB once; whether its files belong together."""
        before = _manifest(rocks)
        to.mkdir()
        for file in rocks.iterdir():
            if file.suffix == ".sst":
                self._copy_table(file, to / file.name)
            elif not file.name.startswith("LO"):  # LOG and LOCK
                shutil.copy2(file, to / file.name)
        if before is None and attempt >= _HALF_MADE_ATTEMPTS:
            self.summary.incomplete += _is_of_parameters(rocks)
            return True
        return before is not None and _manifest(rocks) == before

    def _copy_table(self, table: Path, to: Path) -> None:
        if self.summary.linked:
            try:
                self._link(table, to)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self.summary.linked = False
            else:
                return
        shutil.copy2(table, to)


def copy_database(path: Path, to: Path) -> None:
    """Copy a database that others write to; nothing where there is none."""
    if not path.exists():
        return
    source, target = open_database(path), sqlite3.connect(to)
    with contextlib.closing(source), contextlib.closing(target):
        source.backup(target)


def count_files(repository: Path) -> int:
    """How many files there are in a copy of a repository."""
    return sum(len(files) for _, _, files in os.walk(repository))


def missing_files(copy: Path) -> int:
    """How many files of a copy were not restored; 0 for one that was staged before they were counted."""
    staged = read_json(copy / SUMMARY).get("files")
    return max(0, staged - count_files(copy / ".aim")) if staged else 0


def missing_files_of(copy: Path, run: str) -> int:
    """How many files of a run were not restored; 0 for a copy that was staged before they were counted."""
    found = _files_of(copy / ".aim", run)
    with contextlib.suppress(FileNotFoundError), (copy / FILES).open(encoding="utf-8") as lines:
        counts = (line.rpartition(" ") for line in lines)  # a name that somebody has given by hand may have blanks
        return sum(int(count) - found for name, _, count in counts if name == run)
    return 0


def _files_of(repository: Path, run: str) -> int:
    return sum(len(files) for kind in KINDS for _, _, files in os.walk(repository / kind / "chunks" / run))


def listed_runs(repository: Path) -> list[str]:
    """Names of the runs in the database of a repository.

    Raises:
        Refusal: it is missing, or cannot be read; it is not made.
    """
    path = repository / DATABASES[0]
    try:
        with contextlib.closing(open_database(path)) as rows:
            return [run for (run,) in rows.execute("SELECT hash FROM run ORDER BY id")]
    except sqlite3.Error as error:
        raise Refusal(f"{path} cannot be read ({error}): restore the file from a backup") from None


def _is_of_parameters(rocks: Path) -> bool:
    """Whether a RocksDB is the one of a run's parameters, and not that of its sequences."""
    return rocks.parent.parent.name == "meta"


def _manifest(rocks: Path) -> tuple[str, int] | None:
    """Name and size of the manifest; None where there is none (yet)."""
    if not rocks.exists():
        raise FileNotFoundError(rocks)
    try:
        current = (rocks / "CURRENT").read_text(encoding="utf-8").strip()
        return current, (rocks / current).stat().st_size
    except FileNotFoundError:
        return None

"""The Aim repository of a volume, made, completed or refused; never by a way that can delete one."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from . import Refusal, say
from .databases import open_database
from .files import NotPlainError, read_plain, replace_plain
from .patches.migrations import newest, tables_of, upgrade
from .staging import BEFORE_MIGRATION, RESTORING, copy_database

_FOLDERS = (
    *("locks", "check_ins", "progress"),
    *(f"{part}/{folder}" for part in ("meta", "seqs") for folder in ("chunks", "progress", "locks")),
)
"""Aim makes them when it needs them first: a trainer of another user would own them, and keep everybody out."""

# what Aim 3 keeps in a repository, of which an interrupted initialisation leaves some
_OF_AIM = re.compile(
    r"locks|meta|seqs|progress|check_ins|bcp|ext|profiler|(run_metadata\.sqlite|aim_db)(-\w+)?|VERSION|ENCRYPTION_KEY"
    r"|\..*",
    re.ASCII,
)

_LOCK_SECONDS = 300
_GENERATIONS = 2
_WAY_BACK = (
    f"use the image of Aim that wrote it; or go back, by make restore, or with the databases that were kept in "
    f"{BEFORE_MIGRATION} before they were migrated, in the place of those in .aim"
)
_EMPTY = " \t\r\n\0"
"""A file that was written just before a node lost power can be there with zeros in it."""


@dataclasses.dataclass(frozen=True)
class Database:
    """A database of the repository.

    Attributes:
        name: of its file.
        scripts: folder of its migrations in Aim's package.
        remedy: what to do with one that is damaged.
    """

    name: str
    scripts: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class State:
    """What is in the file of a database.

    Attributes:
        tables: their names; none where there is no file.
        versions: what alembic noted; none where it never finished.
    """

    tables: list[str] = dataclasses.field(default_factory=list)
    versions: list[str] = dataclasses.field(default_factory=list)


_RUNS = Database(
    name="run_metadata.sqlite",
    scripts="storage/migrations",
    remedy="restore the file from a backup; names, tags, experiments and notes of the runs are in it only",
)
_LIST_AGAIN = "import aim; r = aim.Repo('{}', init=True); [r.request_props(h, False) for h in r.list_all_runs()]"
"""Adds a row for each run, under a default name."""

_INTERFACE = Database(
    name="aim_db",
    scripts="web/migrations",
    remedy="restore the file from a backup, or move it away to start with an empty one; dashboards, bookmarks and "
    "reports are in it only",
)


def prepare(volume: Path) -> None:
    """Make the repository of a volume ready to be served: make or complete it, and migrate its databases.

    Where there is nothing to do, nothing is written, so that a full volume is served. To be run in a process of its own
    that ends afterwards.

    Raises:
        Refusal: the repository is of another version, is something else, or is damaged where nothing can heal it.
    """
    from aim.sdk.data_version import DATA_VERSION

    repository = volume / ".aim"
    if not repository.exists() and (volume / RESTORING).exists():
        raise Refusal(
            f"a restore was interrupted, and {repository} is moved aside: create the Job of the restore again"
        )
    complete = is_complete(repository, DATA_VERSION)
    if not complete:
        say(f"initialising the Aim repository in {volume}")
        (repository / "VERSION").unlink(missing_ok=True)  # an empty one, at which Aim itself fails
    _make_folders(repository)
    if complete and not _outdated(repository):
        return
    with _creating_runs(repository):
        for database in _outdated(repository):
            _keep_aside(repository / database.name, database)
            _upgrade(repository / database.name, database)
        write_version(repository / "VERSION", DATA_VERSION)


def is_complete(repository: Path, supported: tuple[int, ...]) -> bool:
    """Whether a repository is there, and whole.

    Raises:
        Refusal: there is something else, or a repository that this version of Aim cannot serve.
    """
    if not repository.exists():
        return False
    move = "move it away to start an empty repository beside it"
    if not repository.is_dir():
        raise Refusal(f"{repository} is no directory: {move}")
    version = repository / "VERSION"
    text = _version_of(version).strip(_EMPTY)
    if not text:
        foreign = sorted(path.name for path in repository.iterdir() if not _OF_AIM.fullmatch(path.name))
        if foreign:
            raise Refusal(f"{repository} is no repository of Aim 3, it has {foreign[0]} in it: {move}")
        return False
    if not re.fullmatch(r"\d+(\.\d+)*", text):
        raise Refusal(f"{version} says {text[:40]!r}, no version of Aim's: {move}, or restore the file from a backup")
    found = tuple(int(part) for part in text.split("."))
    if found > supported or found[0] < supported[0]:
        known = ".".join(map(str, supported))
        raise Refusal(f"{version} says {text}, and this Aim reads {known}: {_WAY_BACK}")
    return True


def _version_of(path: Path) -> str:
    try:
        return read_plain(path)
    except FileNotFoundError:
        return ""
    except NotPlainError:
        raise Refusal(f"{path} is no plain file: restore it from a backup") from None


def _make_folders(repository: Path) -> None:
    repository.mkdir(exist_ok=True)
    for name in _FOLDERS:
        _make_folder(repository / name)
    for name in ("meta/chunks", "meta/progress"):
        if not os.access(repository / name, os.R_OK | os.X_OK):
            remedy = f"chown -R {os.geteuid()}:{os.getegid()} the volume's directory where it is exported"
            raise Refusal(f"{repository / name} cannot be read by uid {os.geteuid()}, gid {os.getegid()}: {remedy}")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a full volume, or a folder of somebody else
        say(f"cannot make {path}: {error.strerror}")


def _outdated(repository: Path) -> list[Database]:
    """Those databases that have to be made, or migrated.

    Raises:
        Refusal: one of them is damaged, or gone while there are runs.
    """
    states = {database: _inspect(repository / database.name, database) for database in (_RUNS, _INTERFACE)}
    if not states[_RUNS].tables:
        _refuse_runs_without_database(repository)
    return [database for database, state in states.items() if state.versions != [newest(database.scripts)]]


def _inspect(path: Path, database: Database) -> State:
    if not path.exists():
        return State()
    try:
        with contextlib.closing(open_database(path)) as file:
            return _read(file)
    except sqlite3.OperationalError as error:
        raise Refusal(f"{path} cannot be read: {error}") from None
    except sqlite3.DatabaseError as error:
        raise Refusal(f"{path} is damaged ({error}): {database.remedy}") from None


def _read(file: sqlite3.Connection) -> State:
    (problem,) = file.execute("PRAGMA quick_check(1)").fetchone()
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)
    tables = tables_of(file)
    noted = file.execute("SELECT version_num FROM alembic_version") if "alembic_version" in tables else ()
    return State(tables, [version for (version,) in noted])


def _refuse_runs_without_database(repository: Path) -> None:
    """Reject runs whose database is gone: one that is made anew is empty, and no run would be listed any more."""
    with os.scandir(repository / "meta/chunks") as folders:
        count = sum(folder.is_dir() for folder in folders)
    if count:
        code = _LIST_AGAIN.format(repository.parent)
        reason = f"{repository / _RUNS.name} is missing or empty, and there are {count} runs: {_RUNS.remedy}"
        raise Refusal(f'{reason}; without a backup, python -c "{code}" lists them under default names')


def _keep_aside(path: Path, database: Database) -> None:
    """Copy a database that is about to be migrated, by the version that it has; the newest two versions are kept."""
    state = _inspect(path, database)
    if not state.tables:
        return
    folder = path.parents[1] / BEFORE_MIGRATION
    kept = folder / f"{path.name}.{''.join(state.versions) or 'unknown'}"
    fresh = kept.with_suffix(".new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        copy_database(path, fresh)
        fresh.replace(kept)
        generations = sorted(folder.glob(f"{path.name}.*"), key=lambda each: each.stat().st_mtime_ns)
        for old in generations[:-_GENERATIONS]:
            old.unlink()
    except (OSError, sqlite3.Error) as error:
        raise Refusal(f"cannot copy {path} to {folder} before it is migrated: {error}") from None
    say(f"{path} is migrated; as it was, it is in {kept}")


def _upgrade(path: Path, database: Database) -> None:
    try:
        upgrade(path, database.scripts)
    except Exception as error:  # noqa: BLE001  # whatever alembic, SQLAlchemy or SQLite raise
        reason = str(error.__cause__ or error.__context__ or error).strip().split("\n")[0] or type(error).__name__
        newer = f"; a newer Aim wrote it: {_WAY_BACK}" if "revision" in reason else ""
        raise Refusal(f"cannot bring {path} to this version of Aim: {reason}{newer}") from None


@contextlib.contextmanager
def _creating_runs(repository: Path) -> Iterator[None]:
    """Hold the lock that Aim's clients hold while they initialise a repository, migrate it, or create a run in it."""
    from filelock import SoftFileLock, Timeout

    path = repository / "locks/structured_db_lock"
    try:
        with SoftFileLock(str(path), timeout=_LOCK_SECONDS):
            # before filelock 3.20 the file is empty: nobody could tell that the one of a killed process is stale
            if not path.stat().st_size:
                path.write_text(f"{os.getpid()}\n{socket.gethostname()}\n", encoding="utf-8")
            yield
    except Timeout:
        raise Refusal(f"{path} is held for {_LOCK_SECONDS} s: remove it when no trainer creates a run") from None


def write_version(path: Path, version: tuple[int, ...]) -> None:
    """Write the file that makes a repository one, at once and for good: Aim fails at an empty one."""
    replace_plain(path, ".".join(map(str, version)) + "\n")

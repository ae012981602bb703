"""The Aim repository of a volume, made, completed or refused; never by a way that can delete one."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from . import Refusal, say

# what Aim 3 keeps in a repository, of which an interrupted initialisation leaves some
_OF_AIM = re.compile(
    r"locks|meta|seqs|progress|check_ins|(run_metadata\.sqlite|aim_db)(-\w+)?|VERSION|ENCRYPTION_KEY|\..*", re.ASCII
)

_RUNS = "run_metadata.sqlite"
_INTERFACE = "aim_db"


def open_repository(volume: Path) -> Any:
    """The Aim repository of a volume: made where there is none, completed where making it was interrupted."""
    from aim.sdk.data_version import DATA_VERSION
    from aim.sdk.repo import Repo

    complete = is_complete(volume / ".aim", DATA_VERSION)
    if not complete:
        say(f"initialising the Aim repository in {volume}")
        _initialise(volume)
    return Repo.from_path(str(volume), init=not complete)


def _initialise(volume: Path) -> None:
    """Make a repository beside, and move what is missing into place.

    Aim's own initialisation, killed while it makes a database, leaves one that it can neither use nor complete.
    """
    # in a process of its own, which takes along what Aim keeps of a repository; forked, as Aim takes seconds to import
    with _scratch(volume) as scratch, ProcessPoolExecutor(1, mp_context=get_context("fork")) as process:
        try:
            process.submit(_make, scratch).result()
        except Exception as error:  # noqa: BLE001  # whatever Aim, SQLite or RocksDB raise
            raise Refusal(f"cannot initialise an Aim repository in {volume}: {_first_line(error)}") from None
        made, repository = scratch / ".aim", volume / ".aim"
        if not repository.exists():
            made.rename(repository)
            return
        if not _has_rows(repository / _RUNS):
            _replace(repository / _RUNS, made / _RUNS)
        for part in made.iterdir():
            if part.name != "VERSION" and not (repository / part.name).exists():
                part.rename(repository / part.name)


def _make(folder: Path) -> None:
    from aim.sdk.repo import Repo

    Repo.from_path(str(folder), init=True)


@contextlib.contextmanager
def _scratch(volume: Path) -> Iterator[Path]:
    """A folder of our own on the volume; what an interrupted start has left in it is of no use to anyone."""
    scratch = volume / ".aim-server.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _replace(database: Path, made: Path) -> None:
    """Put a database in the place of another, whose journals would be taken for its own."""
    for journal in database.parent.glob(f"{database.name}-*"):
        journal.unlink()
    made.replace(database)


def _has_rows(database: Path) -> bool:
    """Whether anybody has ever put something into a database."""
    if not database.exists():
        return False
    listing = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('alembic_version', 'sqlite_sequence')"
    )
    with contextlib.closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute(listing)]
        return any(connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone() for table in tables)


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
    text = version.read_text(encoding="utf-8", errors="replace").strip() if version.exists() else ""
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
        raise Refusal(f"{version} says {text}, and this Aim reads {known}: use the image of Aim that wrote it")
    return True


def prepare(volume: Path) -> None:
    """Make or complete the repository, and migrate the web server's database."""
    from aim.cli.utils import build_db_upgrade_command
    from aim.web.api import db

    open_repository(volume)
    with _scratch(volume) as scratch:
        # the migration works on Aim's engine, which has been made for the repository when Aim's application was
        # imported; here, on a copy: SQLite cannot take back half a migration
        db.engine = db.create_engine(f"sqlite:///{scratch}/.aim/{_INTERFACE}")
        _migrate(volume / ".aim" / _INTERFACE, scratch / ".aim" / _INTERFACE, build_db_upgrade_command()[3:])


def _migrate(database: Path, copy: Path, arguments: list[str]) -> None:
    from alembic.config import main as alembic

    copy.parent.mkdir()
    if _has_rows(database):
        with contextlib.closing(sqlite3.connect(database)) as old, contextlib.closing(sqlite3.connect(copy)) as new:
            old.backup(new)
    try:
        alembic(argv=arguments)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever alembic, SQLAlchemy or SQLite raise
        reason = _first_line(error.__cause__ or error.__context__ or error)
        newer = "; a newer Aim wrote it, use that one's image" if "revision" in reason else ""
        raise Refusal(f"cannot bring {database} to this version of Aim: {reason}{newer}") from None
    _replace(database, copy)
    # alembic switches off every logger there is, and Aim's indexer has something to say
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__

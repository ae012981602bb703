"""Mends the migration of Aim's two databases: each is one transaction, in the file itself.

Wrong in Aim 3.29: alembic alters a table, and notes the version in a transaction of its own. Killed in between, it
finds "duplicate column name" or "table already exists" at every start afterwards. Here a step that such an end has left
behind is taken for done, and whatever fails is rolled back as a whole. A copy that is put in the place of the file
would not do: a trainer may have the file open.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import Any

_BUSY_SECONDS = 60
_COPIED = "_alembic_tmp_"
"""Where SQLite cannot alter a table, alembic fills one of this name, deletes the original, and renames its copy."""

_DONE = re.compile(r"duplicate column name|already exists")


def newest(scripts: str) -> str:
    """The version of a database that this Aim works with.

    Args:
        scripts: folder of its migrations in Aim's package, `storage/migrations` or `web/migrations`.
    """
    return str(_directory(scripts).get_current_head())


def upgrade(database: Path, scripts: str) -> None:
    """Bring a database to the newest version; one without any row in it is made anew.

    Raises:
        Exception: whatever alembic, SQLAlchemy or SQLite raise; the database is as it was.
    """
    from alembic.runtime.environment import EnvironmentContext
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    directory = _directory(scripts)
    environment = EnvironmentContext(_config(scripts), directory, fn=lambda at, _: directory._upgrade_revs("head", at))
    # by default, Python commits before it alters a table; this way, a transaction is what is between BEGIN and COMMIT
    with contextlib.closing(sqlite3.connect(database, timeout=_BUSY_SECONDS, isolation_level=None)) as file:
        engine = create_engine("sqlite://", creator=lambda: file, poolclass=StaticPool)
        with environment, engine.begin() as connection:
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
            _clean(file)
            environment.configure(connection=connection)
            _skip_what_is_done(environment.get_context().impl)
            environment.run_migrations()


def _config(scripts: str) -> Any:
    import aim
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(aim.__file__).parent / scripts))
    return config


def _directory(scripts: str) -> Any:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config(scripts))


def tables_of(file: sqlite3.Connection) -> list[str]:
    """Names of the tables of a database."""
    listing = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    return [name for (name,) in file.execute(listing)]


def _clean(file: sqlite3.Connection) -> None:
    """Remove what a killed migration has left: copies of tables, or a database that nobody has used yet."""
    for copied in [name for name in tables_of(file) if name.startswith(_COPIED)]:
        original = copied[len(_COPIED) :]
        rename = f'ALTER TABLE "{copied}" RENAME TO "{original}"'
        file.execute(f'DROP TABLE "{copied}"' if original in tables_of(file) else rename)
    tables = tables_of(file)
    if not any(_has_rows(file, name) for name in tables if name != "alembic_version"):
        for name in tables:
            file.execute(f'DROP TABLE "{name}"')


def _has_rows(file: sqlite3.Connection, table: str) -> bool:
    return file.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone() is not None


def _skip_what_is_done(implementation: Any) -> None:
    """Take a column or table that is there already for the one of the step that would add it."""
    from sqlalchemy.exc import OperationalError

    execute = implementation._exec

    def execute_if_undone(*arguments: Any, **options: Any) -> Any:
        try:
            return execute(*arguments, **options)
        except OperationalError as error:
            if not _DONE.search(str(error)):
                raise
        return None

    implementation._exec = execute_if_undone

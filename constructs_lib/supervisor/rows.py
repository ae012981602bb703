"""Brings the rows of one run from a copied database back into a living one."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from . import Refusal
from .databases import open_database


def bring_back(copy: Path, living: Path, run: str) -> None:
    """Insert a run with its name, description, experiment, tags and notes, all or nothing; no other row changes.

    Args:
        copy: the database of the copy.
        living: that of the repository, in use.
        run: its hash.

    Raises:
        Refusal: the copy does not list the run.
    """
    with contextlib.closing(open_database(living)) as database:
        database.execute("ATTACH DATABASE ? AS copy", [str(copy)])
        database.row_factory = sqlite3.Row
        try:
            with database:
                _bring_back(database, run)
        except sqlite3.Error as error:
            raise Refusal(f"cannot add run {run} to {living}: {error}") from None


def _bring_back(database: sqlite3.Connection, run: str) -> None:
    found = _rows(database, "SELECT * FROM copy.run WHERE hash = ?", run)
    if not found:
        raise Refusal(f"the copy does not list run {run}: try another snapshot")
    (row,) = found
    if _rows(database, "SELECT id FROM main.run WHERE hash = ?", run):
        return  # it was brought back before, and this was interrupted
    former = row.pop("id")
    row["experiment_id"] = _same(database, "experiment", row["experiment_id"])
    new = _insert(database, "run", row)
    # Aim leaves these of a deleted run, and SQLite gives its id to the next one
    for table in ("run_tag", "note"):
        database.execute(f"DELETE FROM main.{table} WHERE run_id = ?", [new])
    tags = _rows(database, "SELECT tag_id FROM copy.run_tag WHERE run_id = ?", former)
    for tag in {_same(database, "tag", each["tag_id"]) for each in tags}:  # two of the copy may be one by now
        _insert(database, "run_tag", {"run_id": new, "tag_id": tag})
    for note in _rows(database, "SELECT * FROM copy.note WHERE run_id = ?", former):
        _insert(database, "note", {**note, "id": None, "run_id": new})


def _same(database: sqlite3.Connection, table: str, former: int | None) -> int | None:
    """The id of the experiment or tag, also where it has another name now; or of one of that name, which is made."""
    if former is None:
        return None
    (row,) = _rows(database, f"SELECT * FROM copy.{table} WHERE id = ?", former)
    for column in ("uuid", "name"):
        same = _rows(database, f"SELECT id FROM main.{table} WHERE {column} = ?", row[column])
        if same:
            return int(same[0]["id"])
    return _insert(database, table, {**row, "id": None})


def _rows(database: sqlite3.Connection, question: str, *values: object) -> list[dict[str, Any]]:
    return [dict(row) for row in database.execute(question, values)]


def _insert(database: sqlite3.Connection, table: str, row: dict[str, Any]) -> int:
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    statement = f"INSERT INTO main.{table} ({columns}) VALUES ({marks})"
    return int(database.execute(statement, [*row.values()]).lastrowid or 0)

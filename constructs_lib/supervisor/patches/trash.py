"""Moves deleted runs to the trash of the volume.

Wrong in Aim 3.29: what is deleted in the UI, or by a client, is gone for good, whoever clicks. The run's tags and notes
stay in the database, which gives its number to a new run: that one has the tags and the notes of the deleted one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import trash
from . import check_version

_ROWS = ("run_tag", "note", "run_info")


def keep_deleted_runs() -> None:
    """Have Aim move the runs that it deletes; call it before `restrict_run_hashes`, which checks their names."""
    check_version()
    from aim.sdk.repo import Repo

    Repo._delete_local_run_data = _delete


def _delete(repo: Any, run: str) -> None:
    """Delete a run; Aim calls it within a transaction that deletes the run's row."""
    from sqlalchemy import text

    index = repo._get_index_container("meta", timeout=0).tree()
    del index.subtree(("meta", "chunks"))[run]
    del index.subtree("index_cache")[run]  # the indexer sees then that it has to index the run again, if it stays
    for number in trash.put(Path(repo.path).parent, run):
        for table in _ROWS:
            repo.structured_db._session.execute(text(f"DELETE FROM {table} WHERE run_id = :number"), {"number": number})

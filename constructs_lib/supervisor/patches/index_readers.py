"""Has readers leave Aim's index of runs alone: they neither tidy it up nor delete it, and have it read where it fails.

Wrong in Aim 3.29:

* Any reader deletes an index that it cannot read (aimhubio/aim#2950, #3233). Here it asks the indexer to look.
* Readers open the index for writing, to tidy it up, and meet the indexer: "While lock file ...: Resource temporarily
  unavailable", "lock hold by current process". Here they open it for reading only, and wait for a lock when deleting.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from .asgi import App, Receive, Scope, Send
from .indexing import MARKER
from .rocks import open_store, retried, rocks_errors

_DELETION_SECONDS = 10
"""How long a deletion waits for the indexer to close the index."""

_PATIENCE = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between a reader's tries."""

_MARK_SECONDS = 60
_LISTED_SECONDS = 0.1
"""For how long Aim takes its list of runs for up to date."""


def protect_index() -> None:
    """Keep this process from writing the index: for the web server's workers, and for the tracking server."""
    from aim.sdk.repo import Repo
    from aim.storage import union
    from aim.storage.rockscontainer import RocksContainer

    tidy, tidy_database = RocksContainer.optimize_for_read, union.optimize_db_for_read
    request, write = Repo.request_container, Repo._get_index_container

    def tidy_run(container: Any) -> None:
        if not _is_index(container.path):
            tidy(container)

    def tidy_run_database(path: Path, options: dict[str, Any], **more: Any) -> None:
        if not _is_index(path):
            tidy_database(path, options, **more)

    def request_index(repo: Any, name: str, sub: Any = None, **options: Any) -> Any:
        if (name, sub) == ("meta", None):
            return _reader(repo)
        return request(repo, name, sub, **options)

    def write_index(repo: Any, name: str, timeout: int) -> Any:
        return retried(lambda: write(repo, name, timeout), seconds=_DELETION_SECONDS)

    RocksContainer.optimize_for_read, union.optimize_db_for_read = tidy_run, tidy_run_database
    union.DB.dbs = property(_databases)
    Repo.request_container = request_index
    Repo._get_index_container = write_index


def _is_index(path: Path) -> bool:
    return path.name == "index" and path.parent.name == "meta"


def _reader(repo: Any) -> Any:
    """Open the index for reading, once a request; where it stays unreadable, read all runs, as Aim does."""
    from aim.sdk.repo import ContainerConfig
    from aim.storage.union import RocksUnionContainer

    config = ContainerConfig("meta", None, True)
    container = repo.container_pool.get(config)
    if container is None:
        meta = Path(repo.path, "meta")
        container = _readable(meta / "index") or RocksUnionContainer(str(meta), read_only=True)
        repo.container_pool[config] = container
    return container


def _readable(index: Path) -> Any | None:
    """Open the index, trying again: the indexer replaces its files at any moment, and all of it where it is damaged."""
    for pause in _PATIENCE:
        with contextlib.suppress(*rocks_errors()):
            return open_store(index, read_only=True)
        if pause > _PATIENCE[1]:
            mark_damaged(index)
        time.sleep(pause)
    return None


def mark_damaged(index: Path) -> None:
    """Ask the indexer to read the whole index, and to build it anew where that fails."""
    with contextlib.suppress(OSError):
        (index / MARKER).touch()


class IndexDamage:
    """Passes requests on; where RocksDB fails in one, the indexer is asked to read the index.

    Only reading a part of it shows that it is damaged, and which part is read depends on the search.
    """

    def __init__(self, app: App, volume: Path) -> None:
        self._app, self._index = app, volume / ".aim" / "meta" / "index"
        self._marked = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        try:
            await self._app(scope, receive, send)
        except rocks_errors():
            if time.monotonic() - self._marked > _MARK_SECONDS:  # or it is a run that is damaged, not the index
                self._marked = time.monotonic()
                mark_damaged(self._index)
            raise


def _databases(runs: Any) -> dict[bytes, Any]:
    """Open every run, and the index; in place of `union.DB.dbs`, which deletes an index that it cannot read."""
    from aim.storage.encoding import encode_path

    if time.monotonic() - getattr(runs, "listed", -1.0) < _LISTED_SECONDS:
        return runs._dbs  # type: ignore[no-any-return]
    folder = Path(runs.db_path, runs.db_name)
    found: dict[bytes, Any] = {}
    for path in (folder / "chunks").iterdir():
        prefix = encode_path((runs.db_name, "chunks", path.name))
        try:
            runs._get_db(prefix, str(path), runs._dbs, found)
        except rocks_errors():
            runs._corrupted_dbs.add(prefix)
    with contextlib.suppress(*rocks_errors()):
        runs._get_db(b"", str(folder / "index"), runs._dbs, found)
    runs._dbs, runs.listed = found, time.monotonic()
    return found

"""A repository with an index, and an indexer on it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.supervisor.processes import Role, client, role

INDEX = ".aim/meta/index"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with four runs by Aim, all in an index of several tables."""
    volume = tmp_path_factory.mktemp("store")
    for _ in range(2):
        client("write", volume, "--runs", 2, "--points", 3)
        with indexing(volume) as indexer:
            indexer.await_indexed()
    return volume


def indexing(volume: Path, *, limited: bool = False) -> AbstractContextManager[Role]:
    """An indexer on a repository."""
    return role("index", volume, limited=limited)


def runs_of(volume: Path) -> set[str]:
    """Names of the runs that have a folder."""
    return {path.name for path in (volume / ".aim/meta/chunks").iterdir()}

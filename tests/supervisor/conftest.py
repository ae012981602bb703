"""What the tests of the supervisor share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.supervisor.chromium import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; Playwright's event loop goes on until its end, and no other test could have one."""
    with chromium() as started:
        yield started


@pytest.fixture
def copy(store: Path, tmp_path: Path) -> Path:
    """A copy of the repository that a module has as `store`, with the times of the files."""
    volume = tmp_path / "volume"
    shutil.copytree(store, volume)
    return volume

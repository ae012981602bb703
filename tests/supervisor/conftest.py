"""What the tests of the supervisor share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.supervisor.chromium import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; Playwright's event loop goes on until its end, and no other test could have one."""
    with chromium() as started:
        yield started

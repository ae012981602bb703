"""The site can be built, leads nowhere that is not there, and its pictures are of today's manifests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import constructs_lib
from app.picture import PICTURES, picture
from tests.docs.blocks import PAGES, ROOT, prose

_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)|(?:src|href)=\"(?!https?:|#)([^\"]+)\"")


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """A link or an anchor that is broken, or a page that no menu has, ends mkdocs."""
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reference/constructs.html").read_text(encoding="utf-8")
    assert [name for name in constructs_lib.__all__ if f'id="constructs_lib.{name}"' not in page] == ["__version__"]


def anchors(page: Path) -> set[str]:
    """Where a link can lead within a page, as forges and mkdocs make them of its headings."""
    headings = re.findall(r"^#+ +(.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "") for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in plain}


def broken(page: Path) -> Iterator[str]:
    """Links of a page to a file or an anchor that is not there."""
    for found in _LINK.finditer(prose(page)):
        target = found[1] or found[2]
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """In the repository as well, where no mkdocs looks at them."""
    assert list(broken(page)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """The check of the links can fail."""
    page = tmp_path / "page.md"
    page.write_text("# A title\n[a](#a-title) [b](#none) [c](none.md)\n", encoding="utf-8")
    assert list(broken(page)) == ["#none", "none.md"]


@pytest.mark.parametrize(("file", "target"), PICTURES.items())
def test_a_picture_is_of_todays_manifests(file: str, target: str) -> None:
    """`make docs` draws them anew."""
    assert (ROOT / target).read_text(encoding="utf-8") == picture(ROOT / file)


def test_messages_in_the_troubleshooting_are_the_supervisors() -> None:
    """Whoever searches for a line of the log finds it."""
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    rows = page.partition("\n## The log says\n")[2].partition("\n## ")[0]
    messages = re.findall(r"^\| `([^`]+)` \|", rows, re.MULTILINE)
    sources = " ".join(file.read_text(encoding="utf-8") for file in (ROOT / "constructs_lib/supervisor").rglob("*.py"))
    assert len(messages) > 8
    assert [message for message in messages if message not in sources] == []

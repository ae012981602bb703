"""Blocks and commands in Markdown files."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "tests/e2e").rglob("*.md")),
]

_FENCE = re.compile(r"^([ ]*)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_SNIPPET = re.compile(r'^--8<-- "([^":]+)"$', re.MULTILINE)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        page: that it is in.
        line: of its fence.
        language: that the fence names.
        text: without indentation, and with the files that it includes.
    """

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """Where it is, as pytest shows it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """All blocks of some languages; without one, all."""
    return [block for page in PAGES for block in _blocks(page) if not languages or block.language in languages]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        whole = _SNIPPET.sub(lambda name: (ROOT / name[1]).read_text(encoding="utf-8"), textwrap.dedent(found[3]))
        yield Block(page=page, line=line, language=found[2], text=whole)


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> Iterator[str]:
    """Code within sentences and tables, where a `|` has a backslash before it."""
    yield from (code.replace("\\|", "|") for code in _CODE.findall(prose(page)))

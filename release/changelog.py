"""The changelog: what is not released yet becomes the section of a version."""

from __future__ import annotations

import re

_UNRELEASED = "## Unreleased\n"


def versions(text: str) -> list[str]:
    """Versions that have a section, the newest first."""
    return re.findall(r"^## (\d+\.\d+\.\d+)", text, re.MULTILINE)


def unreleased(text: str) -> str:
    """What changed since the newest version."""
    return text.partition(_UNRELEASED)[2].partition("\n## ")[0].strip()


def released(text: str, version: str, day: str) -> str:
    """Put what is not released into a section of its own, below an empty one."""
    return text.replace(_UNRELEASED, f"{_UNRELEASED}\n## {version} - {day}\n", 1)

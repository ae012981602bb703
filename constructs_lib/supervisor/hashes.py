"""Hashes by which Aim names runs: each becomes part of a path, and of restic's command line."""

from __future__ import annotations

import re

_HASH = re.compile(r"[0-9a-f]{24}")

REMEDY = "write its 24 digits, as the address of its page has them"
"""What to write instead of a text that is none."""


def is_hash(text: str) -> bool:
    """Whether a text can be the hash of a run."""
    return _HASH.fullmatch(text) is not None

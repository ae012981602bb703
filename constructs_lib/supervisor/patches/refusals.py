"""Requests that the patches refuse: counted by kind, and logged once a kind."""

from __future__ import annotations

from collections import Counter

from .. import say

_LONGEST = 200
"""Characters of a reason in the log: a part of it may be the sender's."""


class Refusals:
    """Counts what one guard has refused.

    Attributes:
        counts: by kind.
    """

    def __init__(self, guard: str) -> None:
        """Start to count.

        Args:
            guard: the name of the guard in the log.
        """
        self.guard = guard
        self.counts: Counter[str] = Counter()

    def note(self, kind: str, reason: str) -> None:
        """Count a refusal; log it if it is the first of its kind, and then only the 10th, the 100th and so on.

        A page or a client that repeats a request could otherwise fill the log.
        """
        self.counts[kind] += 1
        count = str(self.counts[kind])
        if count.strip("0") == "1":
            times = "" if count == "1" else f", {count} times so far"
            text = reason.encode("unicode_escape").decode("ascii")[:_LONGEST]
            say(f"the {self.guard} refuses {text} ({kind}{times}; more of this kind are counted, not logged)")

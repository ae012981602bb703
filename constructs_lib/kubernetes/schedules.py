"""Schedules of CronJobs, as the API server reads them.

Source: https://pkg.go.dev/github.com/robfig/cron/v3#hdr-CRON_Expression_Format
"""

from __future__ import annotations

import re

from constructs_lib.errors import require

_NAMED = re.compile(r"@(hourly|daily|midnight|weekly|monthly|yearly|annually)")
_PART = re.compile(r"(?:[*?]|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_FIELDS = (
    ("a minute", 0, 59, ()),
    ("an hour", 0, 23, ()),
    ("a day of the month", 1, 31, ()),
    ("a month", 1, 12, _MONTHS),
    ("a day of the week", 0, 6, _DAYS),
)
"""Name, lowest and highest number of each field, and names of the numbers; Sunday is 0, and never 7."""


def check_schedule(option: str, value: str) -> None:
    """Reject what is no schedule of a CronJob."""
    if _NAMED.fullmatch(value):
        return
    fields = value.split(" ")
    require(len(fields) == len(_FIELDS), option, value, "write five fields, such as 17 2 * * *, or @daily")
    for field, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        fits = all(_fits(part, low, high, names) for part in field.split(","))
        remedy = f"write {name} from {low} to {high}, *, a range or a list, instead of {field}"
        require(fits, option, value, remedy)


def _fits(part: str, low: int, high: int, names: tuple[str, ...]) -> bool:
    match = _PART.fullmatch(part)
    if not match or match[3] == "0":
        return False
    numbers = [_number(text, low, names) for text in match.groups()[:2] if text]
    return all(low <= number <= high for number in numbers) and numbers == sorted(numbers)


def _number(text: str, low: int, names: tuple[str, ...]) -> int:
    if text.lower() in names:
        return low + names.index(text.lower())
    return int(text) if text.isdigit() else -1

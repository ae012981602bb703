"""Differences and warnings as text, and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from app.changes.differences import Difference, Field
from app.changes.warnings import warnings

_MOST_CHARACTERS = 60


def report(found: Sequence[Difference], *, markdown: bool = False) -> str:
    """Describe differences, object by object."""
    if not found:
        return "no change"
    describe = _as_markdown if markdown else _as_text
    return "\n".join(line for difference in found for line in describe(difference, found))


def _as_text(difference: Difference, found: Sequence[Difference]) -> Iterator[str]:
    yield f"{difference.key}: {difference.happens}"
    yield from (f"  {field.path}: {_change(field)}" for field in difference.fields)
    for warning in warnings(difference, found):
        yield f"  {'WARNING' if warning.grave else 'note'}: {warning.text}"


def _as_markdown(difference: Difference, found: Sequence[Difference]) -> Iterator[str]:
    yield f"* **{difference.key}**: {difference.happens}"
    yield from (f"  * `{field.path}`: `{_change(field)}`" for field in difference.fields)
    for warning in warnings(difference, found):
        yield f"  * {'⚠️ **' + warning.text + '**' if warning.grave else warning.text}"


def _change(field: Field) -> str:
    if field.before is None:
        return f"+ {_short(field.after)}"
    return f"- {_short(field.before)}" if field.after is None else f"{_short(field.before)} -> {_short(field.after)}"


def _short(value: Any) -> str:
    """A value on one line: the text of the supervisor's files has hundreds."""
    text = str(value)
    first = text.partition("\n")[0]
    return text if first == text and len(text) <= _MOST_CHARACTERS else f"{first[:_MOST_CHARACTERS]}..."

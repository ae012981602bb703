"""Every public name and every key of the instance file has a text, a type and a default."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import griffe

from app.instances.reference import reference
from tests.docs.blocks import ROOT

_CELL = re.compile(r"(?<!\\)\|")


def public() -> Iterator[tuple[str, Any]]:
    """What the library exports, by name, as mkdocstrings reads it."""
    logging.getLogger("griffe").setLevel(logging.CRITICAL)
    library: Any = griffe.load("constructs_lib", search_paths=[ROOT], docstring_parser=griffe.Parser.google)
    for name in library.exports:
        member = library[name]
        yield name, member.final_target if member.is_alias else member


def described(item: Any, kind: str) -> dict[str, str]:
    """Names and texts in a section of a docstring, `parameters` or `attributes`."""
    sections = item.docstring.parsed if item.docstring else ()
    return {each.name: each.description for part in sections if part.kind.value == kind for each in part.value}


def missing() -> Iterator[str]:
    """Each text, type or default that is not there; an override is described where it is declared first."""
    for name, item in public():
        if not item.docstring:
            yield f"{name}: no text"
        if item.is_class:
            inherited = {name for base in item.mro() for name in base.members}
            for member in (each for name, each in item.members.items() if name not in inherited or name == "__init__"):
                yield from (f"{name}.{problem}" for problem in _missing_of(member, item))
        if item.is_function:
            yield from _missing_parameters(item, described(item, "parameters"))


def _missing_of(member: Any, owner: Any) -> Iterator[str]:
    """What a field or method of a class lacks."""
    if member.is_function and (member.name == "__init__" or not member.name.startswith("_")):
        if member.docstring and member.lineno != owner.lineno:  # a dataclass's is generated, of its fields
            yield from _missing_parameters(member, described(owner, "attributes") | described(member, "parameters"))
    elif member.is_attribute and not member.name.startswith("_") and "ClassVar" not in str(member.annotation):
        listed = described(owner, "attributes").get(member.name, "")
        text = member.docstring.value if member.docstring else listed
        if not text:
            yield f"{member.name}: no text"
        if "dataclass" in owner.labels and member.value is not None and not listed:
            exclusive = "exactly one" in owner.docstring.value and str(member.value) == "None"
            if not exclusive and "Default:" not in text:
                yield f"{member.name}: no default"
        if "dataclass" in owner.labels and not member.annotation:
            yield f"{member.name}: no type"


def _missing_parameters(function: Any, texts: dict[str, str]) -> Iterator[str]:
    for parameter in function.parameters:
        if parameter.name in {"self", "cls"}:
            continue
        variadic = parameter.kind and "variadic" in parameter.kind.value
        if parameter.name not in texts:
            yield f"{function.name}({parameter.name}): no text"
        elif parameter.default is not None and not variadic and "default" not in texts[parameter.name].lower():
            yield f"{function.name}({parameter.name}): no default"
        if not parameter.annotation:
            yield f"{function.name}({parameter.name}): no type"


def test_every_public_name_is_described() -> None:
    """What the reference of the constructs shows has no gap."""
    assert list(missing()) == []


def test_every_key_is_described() -> None:
    """No cell of the tables of the instance file is empty."""
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 150
    assert [row for row in rows if not all(cell.strip() for cell in _CELL.split(row)[1:5])] == []


def test_every_metric_is_described() -> None:
    """Whatever Prometheus is told, the documentation explains."""
    source = (ROOT / "constructs_lib/supervisor/metrics.py").read_text(encoding="utf-8")
    metrics = set(re.findall(r'^    "(aim_\w+)": "', source, re.MULTILINE))
    documented = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*metrics*.md"))
    assert len(metrics) > 10
    assert {name for name in metrics if not re.search(rf"\b{name}\b", documented)} == set()


def test_every_kind_of_object_is_described() -> None:
    """Whatever a snapshot has, the page of objects says what it is for."""
    texts = (file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("__snapshots__/**/*.yaml"))
    kinds = {kind for text in texts for kind in re.findall(r"^kind: (\w+)$", text, re.MULTILINE)}
    page = (ROOT / "docs/reference/objects.md").read_text(encoding="utf-8")
    ours = kinds - {"Job", "StatefulSet", "DaemonSet"}  # of training
    assert len(ours) > 8
    assert {kind for kind in ours if not re.search(rf"^\|.*\b{kind}\b.*\|", page, re.MULTILINE)} == set()

"""Reads dataclasses from YAML: known keys only, spelled as Kubernetes spells them."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import json
import textwrap
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter

from constructs_lib.options import camel

Model = type
T = TypeVar("T")


def keys_of(model: Model) -> dict[str, dataclasses.Field[Any]]:
    """The keys of a model and their fields; what it declares itself comes before what it inherits."""
    fields = {field.name: field for field in dataclasses.fields(model)}
    names = dict.fromkeys(name for each in model.__mro__ for name in inspect.get_annotations(each))
    return {camel(name): fields[name] for name in names if name in fields}


def exclusive_keys(model: Model) -> list[str]:
    """The keys of a model of which exactly one must be written."""
    return [camel(name) for name in getattr(model, "one_of", ())]


@functools.cache
def _hints(model: Model) -> dict[str, Any]:
    return typing.get_type_hints(model)


def models_of(model: Model, key: object) -> Iterator[Model]:
    """The models that a key of another one may hold."""
    field = keys_of(model).get(str(key))
    yield from _models_in(_hints(model)[field.name]) if field else ()


def _models_in(hint: Any) -> Iterator[Model]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
    for argument in typing.get_args(hint):
        yield from _models_in(argument)


def reachable(model: Model) -> dict[str, Model]:
    """A model and all that it may hold, by their names."""
    found: dict[str, Model] = {}
    waiting = [model]
    while waiting:
        each = waiting.pop()
        if each.__name__ not in found:
            found[each.__name__] = each
            waiting += [inner for key in keys_of(each) for inner in models_of(each, key)]
    return found


@functools.cache
def adapter(model: Model) -> TypeAdapter[Any]:
    """Make what validates a model, and all that it may hold, by the same rules."""
    for each in reachable(model).values():
        one_of = exclusive_keys(each)
        extra = {"json_schema_extra": {"oneOf": [{"required": [key]} for key in one_of]}} if one_of else {}
        each.__pydantic_config__ = ConfigDict(alias_generator=camel, extra="forbid", strict=True, **extra)  # type: ignore[attr-defined,typeddict-item]
    return TypeAdapter(model)


def validated(model: type[T], content: Mapping[str, object]) -> T:
    """Make an instance of a model.

    Raises:
        ValidationError: of pydantic.
    """
    # strict mode takes a mapping for a dataclass in JSON only
    made: T = adapter(cast(Model, model)).validate_json(json.dumps(content))
    return made


@functools.cache
def texts_of(model: Model) -> dict[str, str]:
    """The docstrings of a model's fields, by their keys; pydantic does not see those of a base class."""
    texts: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if dataclasses.is_dataclass(each):
            texts |= _texts_in(each)
    return texts


def _texts_in(model: Model) -> dict[str, str]:
    (declaration,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(declaration, ast.ClassDef)
    texts = {}
    for field, text in zip(declaration.body, declaration.body[1:], strict=False):
        documented = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and documented:
            texts[camel(field.target.id)] = " ".join(str(text.value.value).split())  # type: ignore[attr-defined]
    return texts

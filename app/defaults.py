"""What instances share, below what each of them says itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

from pydantic import BaseModel

from app.instance import OneOf


def merged(model: type[BaseModel] | None, shared: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """Both together: mappings key by key, and otherwise what the instance itself says.

    An empty key of its own means the default that the project has, not the shared one. Of keys that exclude each other
    (`nfs`, `dynamic` ...), its own wins.
    """
    exclusive = set(model.one_of) if model and issubclass(model, OneOf) else set()
    dropped = exclusive if exclusive & own.keys() else set()
    both = {key: value for key, value in shared.items() if key not in dropped} | dict(own)
    for key, value in own.items():
        other = shared.get(key)
        if value is None and key in shared:
            del both[key]
        elif isinstance(value, dict) and isinstance(other, dict):
            both[key] = merged(next(model_of(model, key), None) if model else None, other, value)
    return both


def model_of(model: type[BaseModel], key: str) -> Iterator[type[BaseModel]]:
    """The models that a key of another one may hold."""
    fields = {field.alias: field for field in model.model_fields.values()}
    yield from _models_in(fields[key].annotation) if key in fields else ()


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)

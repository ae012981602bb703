"""What instances share, below what each of them says itself."""

from __future__ import annotations

from collections.abc import Mapping

from app.models import Model, exclusive_keys, models_of


def merged(model: Model | None, shared: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """Both together: mappings key by key, and otherwise what the instance itself says.

    An empty key of its own means the default that the project has, not the shared one. Of keys that exclude each other
    (`nfs`, `dynamic` ...), its own wins.
    """
    exclusive = set(exclusive_keys(model)) if model else set()
    dropped = exclusive if exclusive & own.keys() else set()
    both = {key: value for key, value in shared.items() if key not in dropped} | dict(own)
    for key, value in own.items():
        other = shared.get(key)
        if value is None and key in shared:
            del both[key]
        elif isinstance(value, dict) and isinstance(other, dict):
            both[key] = merged(next(models_of(model, key), None) if model else None, other, value)
    return both

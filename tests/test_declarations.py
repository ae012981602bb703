"""What every group of options has in common: types are declared once, and hold in Python, too."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import constructs_lib
from constructs_lib import OptionError, Owner, SecretReference, StorageOptions

GROUPS = [
    value
    for value in (getattr(constructs_lib, name) for name in constructs_lib.__all__)
    if isinstance(value, type) and dataclasses.is_dataclass(value) and dataclasses.fields(value)
]


class Stranger:
    """What no option is."""

    def __bool__(self) -> bool:
        raise AssertionError("an option of another type was taken for a condition")


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_group_refuses_other_types(group: Any) -> None:
    """By its own error and the name of the first option, before it does anything with one."""
    fields = dataclasses.fields(group)
    made = group(**{field.name: Stranger() for field in fields})
    with pytest.raises(OptionError, match=rf"(^|\.){fields[0].name}: .*: write "):
        made.check()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_option_refuses_other_types(group: Any) -> None:
    """Each of those that can be left out, while the others are as they are by default."""
    optional = [field.name for field in dataclasses.fields(group) if not _is_required(field)]
    if len(optional) < len(dataclasses.fields(group)):
        return
    for name in optional:
        with pytest.raises(OptionError, match=rf"(^|\.){name}: .*: write "):
            group(**{name: Stranger()}).check()


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"owner": 1000}, "owner: 1000: write an Owner or ClusterAssigned"),
        ({"owner": "Cluster"}, "owner: 'Cluster': write an Owner or ClusterAssigned"),
        ({"size": True}, "size: True: write a text or a number"),
        ({"claim_name": b"runs"}, "claim_name: b'runs': write a text"),
        ({"labels": {5: "a"}}, r"labels\[5\]: 5: write a text"),
        ({"labels": {"a": 5}}, r"labels\[a\]: 5: write a text"),
        ({"labels": ["a"]}, r"labels: \['a'\]: write a mapping"),
        ({"access_mode": "ReadOnlyMany"}, "access_mode: 'ReadOnlyMany': write ReadWriteOnce or ReadWriteMany or"),
    ],
)
def test_a_value_is_what_its_annotation_says(options: dict[str, Any], message: str) -> None:
    """Nothing is silently taken for something else, as an owner for that of the cluster."""
    with pytest.raises(OptionError, match=message):
        StorageOptions(**options).check()


def test_what_the_annotation_allows_is_taken() -> None:
    """Unions, numbers for quantities, and what can be left out."""
    taken: list[dict[str, Any]] = [
        {"owner": Owner()},
        {"owner": "ClusterAssigned"},
        {"size": 5},
        {"size": 0.5},
        {"size": None},
    ]
    for options in taken:
        StorageOptions(**options).check()
    SecretReference(name="mount", namespace="csi").check()

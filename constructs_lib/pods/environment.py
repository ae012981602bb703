"""Environment variables of a container."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from constructs_lib.declarations import check_type
from constructs_lib.errors import OptionError, below, require
from constructs_lib.kubernetes.names import check_bytes, check_object_name
from constructs_lib.options import check_declared, check_one_of, indexed

_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRef:
    """A key of a Secret or ConfigMap in the namespace of the pod."""

    written_as: ClassVar = "name and key of a Secret or ConfigMap, as a KeyRef: in a manifest, it would be no secret"

    name: str
    """Name of the Secret or ConfigMap."""
    key: str
    """The key."""

    def check(self) -> None:
        """Reject a faulty name of an object, or of a key in it."""
        check_declared(self)
        check_object_name("name", self.name)
        remedy = "write a key of at most 253 letters, digits, '-', '_' and '.'"
        require(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", self.key), "key", self.key, remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueFrom:
    """Where the value of a variable comes from. Write exactly one of secretKeyRef and configMapKeyRef."""

    one_of: ClassVar = ("secret_key_ref", "config_map_key_ref")
    written_as: ClassVar = "ValueFrom(secret_key_ref=KeyRef(...)): in a manifest, it would be no secret"

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""

    def check(self) -> None:
        """Reject two references, none, and a faulty one."""
        check_declared(self)
        check_one_of(self, *self.one_of)
        for name, reference in (
            ("secret_key_ref", self.secret_key_ref),
            ("config_map_key_ref", self.config_map_key_ref),
        ):
            with below(name):
                if reference:
                    reference.check()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvVar:
    """An environment variable. Write exactly one of value and valueFrom."""

    one_of: ClassVar = ("value", "value_from")
    written_as: ClassVar = "EnvVar(name=..., value=...)"

    name: str
    """Name of the variable."""
    value: str | None = None
    """Value of the variable."""
    value_from: ValueFrom | None = None
    """Where its value comes from."""

    def check(self) -> None:
        """Reject a name or a value that the kubelet or the kernel refuses."""
        check_declared(self)
        named = _VARIABLE.fullmatch(self.name) and self.name not in {".", ".."}
        require(named, "name", self.name, "write a name such as HTTPS_PROXY")
        check_one_of(self, *self.one_of)
        with below("value_from"):
            if self.value_from:
                self.value_from.check()


def check_environment(option: str, variables: Sequence[EnvVar], taken: Sequence[str] = ()) -> None:
    """Reject faulty variables, and a name that is given twice.

    Args:
        option: that they were given by.
        variables: to check.
        taken: names that the container has already.
    """
    seen = set(taken)
    check_type(option, variables, Sequence[EnvVar])
    for variable, where in indexed(option, variables):
        with below(where):
            variable.check()
            if variable.name in seen:
                raise OptionError("name", variable.name, "write it once; it has a value already")
        seen.add(variable.name)
    check_bytes(option, {variable.name: variable.value or "" for variable in variables})

"""Paths and host names by which clients ask for Aim."""

from __future__ import annotations

import re
from collections.abc import Sequence

from constructs_lib.errors import require

_HOST_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$)(\*\.)?{_HOST_LABEL}(\.{_HOST_LABEL})*")
_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


def check_base_path(option: str, path: str) -> None:
    """Reject a path that no URL can begin with, or that a proxy would change."""
    fits = _BASE_PATH.fullmatch(path) and ".." not in path.split("/")
    remedy = "write a path that starts with '/' and does not end with one, such as /aim; or leave it out"
    require(fits, option, path, remedy)


def check_host_names(option: str, names: Sequence[str]) -> None:
    """Reject a list of names that no request could ask for."""
    for index, name in enumerate(names):
        remedy = "write a host name alone, without scheme and port, such as aim.example.com or localhost"
        require(_HOST_NAME.fullmatch(name), f"{option}[{index}]", name, remedy)

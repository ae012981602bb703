"""Host names and paths by which the outside reaches a server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from constructs_lib.errors import require
from constructs_lib.kubernetes.names import check_object_name

TRACKING_ROUTES = ("client", "tracking", "status")
"""First parts of the paths that Aim's client asks for, below the base path of the tracking server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A path, and what answers to all below it.

    Attributes:
        path: whole parts of it count: `/aim` is not `/aims`.
        port: of the Service.
    """

    path: str
    port: int


def backends(*, base_path: str, port: int, tracking: tuple[str, int] | None = None) -> list[Backend]:
    """The paths of a server, the longest first: each beginning only once.

    Args:
        base_path: of the server.
        port: of the Service, for it.
        tracking: base path and port of the tracking server, where there is one.
    """
    found = {base_path or "/": port}
    if tracking:
        found |= dict.fromkeys(_tracking_paths(tracking[0], base_path), tracking[1])
    ordered = sorted(found, key=lambda path: (-len(path), path))
    needed = [path for path in ordered if not _is_covered(path, found)]
    return [Backend(path=path, port=found[path]) for path in needed]


def _tracking_paths(base_path: str, other: str) -> Iterator[str]:
    alone = base_path and base_path != other and not other.startswith(f"{base_path}/")
    yield from [base_path] if alone else (f"{base_path}/{route}" for route in TRACKING_ROUTES)


def _is_covered(path: str, found: dict[str, int]) -> bool:
    """Whether a shorter path leads to the same port, and none in between elsewhere."""
    above = [each for each in found if each != path and (each == "/" or path.startswith(f"{each}/"))]
    return bool(above) and found[max(above, key=len)] == found[path]


def check_host_name(option: str, host: str) -> None:
    """Reject a host name that no Ingress, no route and no certificate is for."""
    check_object_name(option, host)
    numeric = re.fullmatch(r"[\d.]+", host)
    require("." in host and not numeric, option, host, "write a whole host name, such as aim.example.com")


def check_hosts(option: str, hosts: Sequence[str]) -> None:
    """Reject none, and names that cannot be."""
    require(hosts, option, list(hosts), "write at least one host name, such as aim.example.com")
    for index, host in enumerate(hosts):
        check_host_name(f"{option}[{index}]", host)

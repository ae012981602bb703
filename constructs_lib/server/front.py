"""The container and port of the pod that the Service points at: decided in `server.py`, asked by everything else."""

from __future__ import annotations

from dataclasses import dataclass

from constructs_lib.plus import kplus


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The container and port that clients reach; Service, network rules and routes ask it.

    Attributes:
        container: Aim's, or the login's where there is one; its readiness probe decides whether the pod gets requests.
        name: of the port, in container and Service.
        port: in the pod.
    """

    container: kplus.Container
    name: str
    port: int

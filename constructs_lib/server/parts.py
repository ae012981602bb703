"""The parts of an `AimServer` that its tracking server, Ingress and HTTPRoute build on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cdk8s

from constructs_lib.access.login import Login
from constructs_lib.access.network import NetworkRules
from constructs_lib.plus import kplus
from constructs_lib.pods.aim_containers import AimContainers
from constructs_lib.server.front import Front
from constructs_lib.server.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerParts:
    """What a server has made before tracking, an Ingress or a route is added.

    Attributes:
        plan: its options, resolved.
        place: its namespace, or the chart that has none.
        containers: adds containers to its pod.
        web: the container of the web server.
        front: the container and port that clients reach.
        login: in front of the web server, where there is one.
        service: its Service.
        host: name of the Service within the cluster.
        rules: its network rules.
        metadata: makes the metadata of an object from its name and annotations.
    """

    plan: Plan
    place: str
    containers: AimContainers
    web: kplus.Container
    front: Front
    login: Login | None
    service: kplus.Service
    host: str
    rules: NetworkRules
    metadata: Callable[[str, Mapping[str, str]], cdk8s.ApiObjectMetadata]

"""What is known of a server before it is made: its options, checked and resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cdk8s

from constructs_lib.access.login import login_config_map_name, login_files
from constructs_lib.errors import below, require, require_type
from constructs_lib.kubernetes.names import check_instance_name
from constructs_lib.pods.aim_containers import Role
from constructs_lib.pods.image import ImageOptions, check_image_options
from constructs_lib.pods.pod_options import for_aim
from constructs_lib.pods.supervisor_configmap import config_map_names
from constructs_lib.registry import Entry, config_maps
from constructs_lib.server.dashboard import dashboard_name
from constructs_lib.server.metrics import METRICS
from constructs_lib.server.server_options import ServerOptions
from constructs_lib.storage.storage import AimStorage, check_storage

PORT = 43800
"""Port of Aim's web server in the pod."""

HEALTH_PORT = 43801
"""Port on which the supervisor answers the kubelet."""

_ONE_SERVER = "it is already served by {owner}; one store has one server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The options of a server, resolved."""

    name: str
    image: ImageOptions
    options: ServerOptions
    deployment: str
    service: str
    supervisor: str
    login_files: str
    service_hosts: tuple[str, ...]
    role: Role
    entries: tuple[Entry, ...]


def resolve(
    chart: cdk8s.Chart, storage: AimStorage, name: str | None, image: ImageOptions, options: ServerOptions
) -> Plan:
    """Check the options against the storage and the chart, and resolve them."""
    check_storage(chart, storage)
    name = storage.name if name is None else name
    check_instance_name("name", name)
    check_image_options(image)
    _check_options(options)
    options = for_aim(options)
    service = options.service.name or name
    hosts = service_hosts(service, storage.namespace)
    plan = Plan(
        name=name,
        image=image,
        options=options,
        deployment=options.deployment_name or name,
        service=service,
        supervisor=options.supervisor_name or f"{name}-supervisor",
        login_files=_login_files(name, options),
        service_hosts=tuple(hosts),
        role=_role(options, hosts),
        entries=(),
    )
    return replace(plan, entries=(*_stores(storage), *_objects(plan, storage.place)))


def _login_files(name: str, options: ServerOptions) -> str:
    """Name of the ConfigMap of a login's files; none where there are none."""
    return login_config_map_name(name, options.login) if options.login and login_files(options.login) else ""


def _objects(plan: Plan, place: str) -> list[Entry]:
    """What a server makes."""
    metrics, carried = plan.options.metrics, config_map_names(plan.supervisor, plan.options.supervisor)
    others = [plan.login_files, dashboard_name(plan.name) if metrics and metrics.dashboard else ""]
    return [
        Entry(kind="server", place=place, name=plan.name, option="name"),
        Entry(kind="Deployment", place=place, name=plan.deployment, option="deployment_name"),
        Entry(kind="NetworkPolicy", place=place, name=plan.deployment, option="deployment_name"),
        Entry(kind="Service", place=place, name=plan.service, option="service.name"),
        *config_maps(carried.values(), place=place, option="supervisor_name"),
        *config_maps(filter(None, others), place=place, option="name"),
    ]


def _check_options(options: ServerOptions) -> None:
    require_type("options", options, ServerOptions, "write ServerOptions(...)")
    options.check()
    if options.service.exposed:
        with below("service"):
            check_exposure(options, "type", options.service.type)


def check_exposure(options: ServerOptions, option: str, value: object) -> None:
    """Reject a way from outside to a server without a login, unless it is meant."""
    remedy = "write login, so that nobody comes in without; or allow_anonymous: Aim has no login"
    require(options.login or options.allow_anonymous, option, value, remedy)


def service_hosts(service: str, namespace: str | None) -> list[str]:
    """Make the names of the Service within the cluster, the short one of its own namespace included."""
    return [service, *(f"{service}.{namespace}{end}" for end in ("", ".svc", ".svc.cluster.local") if namespace)]


def _role(options: ServerOptions, service_hosts: Sequence[str]) -> Role:
    allowed = [*options.allowed_hosts, *service_hosts] if options.allowed_hosts else []
    hosts = [word for host in allowed for word in ("--allow-host", host)]
    return Role(
        name="serve",
        container="aim",
        port_name="http",
        port=PORT,
        health_name=METRICS if options.metrics else "health",
        health_port=HEALTH_PORT,
        base_path=options.base_path,
        arguments=("--workers", str(options.workers), *hosts),
        loopback=options.login is not None,
    )


def _stores(storage: AimStorage) -> list[Entry]:
    """What a server uses up."""
    place, claim = storage.place, storage.claim_name
    stores = [Entry(kind="PersistentVolumeClaim", place=place, name=claim, option="storage", taken=_ONE_SERVER)]
    if storage.source.identity:
        stores.append(Entry(kind="", name=storage.source.identity, option="storage", taken=_ONE_SERVER))
    return [replace(store, use="serving") for store in stores]

"""One instance is one chart: the words of its file turned into those of the constructs."""

from __future__ import annotations

import ipaddress
import re
from enum import Enum
from typing import TypeVar

import cdk8s
from constructs import Construct
from pydantic.alias_generators import to_camel

import constructs_lib as aim
from app import instance as file
from app.errors import InputError
from app.reading import Source, brief
from constructs_lib.errors import require
from constructs_lib.names import check_bytes, check_labels, check_object_name
from constructs_lib.plus import kplus
from constructs_lib.service import check_cidr

_E = TypeVar("_E", bound=Enum)

_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")

_SECTIONS = {"storage", "server"}
"""Ids of the constructs that have a section of their own in the file."""


def add_instance(app: cdk8s.App, source: Source) -> InstanceChart:
    """Add the chart of an instance to an app.

    Raises:
        InputError: a value that cannot work, named by its key in the file.
    """
    try:
        return InstanceChart(app, source)
    except aim.OptionError as error:
        key = _key(error)
        given = "the file's name, " if key == "name" and not source.instance.name else ""
        file = source.said_in(*key.partition("[")[0].split(".")) if key != "name" else source.path
        raise InputError(f"{file}: {key}: {given}{brief(error.value)}: {error.remedy}") from None


class InstanceChart(cdk8s.Chart):
    """Everything that one instance is, in the order in which an empty cluster can take it.

    Attributes:
        exports: what tells its store from every other one, where several clusters could have it.
    """

    exports: tuple[str, ...]

    def __init__(self, scope: Construct, source: Source) -> None:
        instance = source.instance
        super().__init__(scope, source.stem, namespace=instance.namespace, disable_resource_name_hashes=True)
        if instance.create_namespace:
            aim.AimNamespace(self, "namespace")
        storage = _storage(self, source.name, instance.storage)
        # what other clusters reach as well, so that it is not enough to compare within one
        self.exports = storage.stores[1:] if instance.storage.nfs or instance.storage.csi else ()
        server = _server(self, storage, instance)
        _extend_pod(server, instance.server)
        server.allow_from(*_peers(server, "server", instance.server.allow_from))
        _open_ways_out(server, instance.server.allow_to)
        if instance.server.tracking:
            _add_tracking(server, instance.server.tracking)


def _key(error: aim.OptionError) -> str:
    words, bracket, rest = error.option.partition("[")
    option = ".".join(to_camel(part) for part in words.split(".")) + bracket + rest
    section = error.construct.rpartition("/")[2]
    top_level = re.split(r"[.\[]", option)[0] in {field.alias for field in file.Instance.model_fields.values()}
    return option if top_level or section not in _SECTIONS else f"{section}.{option}"


def _enum(kind: type[_E], value: str) -> _E:
    """The cdk8s-plus member that Kubernetes spells like this: `NoSchedule` is `NO_SCHEDULE`."""
    return kind[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", value).upper()]


def _storage(chart: cdk8s.Chart, name: str, storage: file.Storage) -> aim.AimStorage:
    mode = storage.access_mode
    return aim.AimStorage(
        chart,
        "storage",
        source=_storage_source(storage),
        size=storage.size,
        name=name,
        access_mode=_enum(kplus.PersistentVolumeAccessMode, mode) if mode else None,
        storage_class_name=storage.storage_class_name,
        owner=aim.Owner(**dict(storage.owner)) if isinstance(storage.owner, file.Owner) else None,
        claim_name=storage.claim_name,
        volume_name=storage.volume_name,
        labels=storage.labels,
        annotations=storage.annotations,
    )


def _storage_source(storage: file.Storage) -> aim.StorageSource:
    if storage.nfs:
        return aim.NfsExport(**dict(storage.nfs))
    if storage.csi:
        secret = storage.csi.node_stage_secret_ref
        reference = aim.SecretReference(**dict(secret)) if secret else None
        return aim.CsiVolume(**{**dict(storage.csi), "node_stage_secret_ref": reference})
    if storage.host_path:
        return aim.HostPath(**dict(storage.host_path))
    if storage.existing_claim:
        return aim.ExistingClaim(**dict(storage.existing_claim))
    assert storage.dynamic  # the file's model has checked that there is exactly one
    return aim.DynamicVolume()


def _server(chart: cdk8s.Chart, storage: aim.AimStorage, instance: file.Instance) -> aim.AimServer:
    server = instance.server
    return aim.AimServer(
        chart,
        "server",
        storage=storage,
        image=aim.DEFAULT_IMAGE if instance.image is None else instance.image,
        image_pull_policy=_enum(kplus.ImagePullPolicy, instance.image_pull_policy),
        image_pull_secrets=instance.image_pull_secrets,
        workers=server.workers,
        base_path=server.base_path,
        allowed_hosts=server.allowed_hosts,
        suspend=server.suspend,
        service=_service(server.service),
        resources=_resources(server.resources) or aim.DEFAULT_RESOURCES,
        node_selector=server.node_selector,
        priority_class_name=server.priority_class_name,
        allow_anonymous=server.allow_anonymous,
        deployment_name=server.deployment_name,
        supervisor=aim.SupervisorSource(server.supervisor),
        supervisor_name=server.supervisor_name,
        labels=server.labels,
        annotations=server.annotations,
        pod_annotations=server.pod_annotations,
    )


def _resources(resources: file.Resources | None) -> aim.Resources | None:
    return aim.Resources(**dict(resources)) if resources else None


def _add_tracking(server: aim.AimServer, options: file.Tracking) -> None:
    resources = _resources(options.resources) or aim.DEFAULT_TRACKING_RESOURCES
    tracking = server.add_tracking(port=options.port, base_path=options.base_path, resources=resources)
    tracking.allow_from(*_peers(tracking, "server.tracking", options.allow_from))


def _service(service: file.Service) -> aim.ServiceOptions:
    return aim.ServiceOptions(**{**dict(service), "type": _enum(kplus.ServiceType, service.type)})


def _extend_pod(server: aim.AimServer, options: file.Server) -> None:
    """What cdk8s-plus itself has methods for, through these."""
    env = server.deployment.containers[0].env
    taken = set(env.variables)
    check_bytes("server.env", {variable.name: variable.value or "" for variable in options.env})
    for index, variable in enumerate(options.env):
        where, name = f"server.env[{index}]", variable.name
        named = _VARIABLE.fullmatch(name) and name not in {".", ".."}
        require(named, f"{where}.name", name, "write a name such as HTTPS_PROXY")
        require(name not in taken, f"{where}.name", name, "write it once; it has a value already")
        taken.add(name)
        env.add_variable(name, _value(server, where, variable))
        if variable.value == "":
            _leave_out(server, f"containers/0/env/{len(taken) - 1}/value")
    for index, toleration in enumerate(options.tolerations):
        server.deployment.scheduling.tolerate(kplus.Node.tainted(_taint(index, toleration)))
        if not toleration.value:
            _leave_out(server, f"tolerations/{index}/value")


def _leave_out(server: aim.AimServer, field: str) -> None:
    """Write no empty text: the API server drops it, and every kubectl apply would answer "configured"."""
    cdk8s.ApiObject.of(server.deployment).add_json_patch(cdk8s.JsonPatch.remove(f"/spec/template/spec/{field}"))


def _value(scope: Construct, where: str, variable: file.Variable) -> kplus.EnvValue:
    if not variable.value_from:
        return kplus.EnvValue.from_value(variable.value or "")
    secret, config_map = variable.value_from.secret_key_ref, variable.value_from.config_map_key_ref
    unique = f"Env-{variable.name}"  # two variables may come from one object
    if secret:
        _check_key_ref(f"{where}.valueFrom.secretKeyRef", secret)
        imported = kplus.Secret.from_secret_name(scope, unique, secret.name)
        return kplus.EnvValue.from_secret_value(kplus.SecretValue(secret=imported, key=secret.key))
    assert config_map  # the file's model has checked that there is exactly one
    _check_key_ref(f"{where}.valueFrom.configMapKeyRef", config_map)
    return kplus.EnvValue.from_config_map(
        kplus.ConfigMap.from_config_map_name(scope, unique, config_map.name), config_map.key
    )


def _check_key_ref(where: str, reference: file.KeyRef) -> None:
    check_object_name(f"{where}.name", reference.name)
    remedy = "write a key of at most 253 letters, digits, '-', '_' and '.'"
    require(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", reference.key), f"{where}.key", reference.key, remedy)


def _taint(index: int, toleration: file.Toleration) -> kplus.NodeTaintQuery:
    """A toleration in cdk8s-plus's words; what those cannot say would be dropped, so it is refused."""
    key, exists, seconds = toleration.key, toleration.operator == "Exists", toleration.toleration_seconds
    where = f"server.tolerations[{index}]"
    require(not (exists and toleration.value), f"{where}.value", toleration.value, "leave it out: Exists takes none")
    require(exists or key, f"{where}.key", key, "write the key of the taint, or operator Exists")
    if not key:
        alone = not toleration.effect and seconds is None
        require(alone, f"{where}.effect", toleration.effect, "name the key too: without one, every taint is tolerated")
        return kplus.NodeTaintQuery.any()
    check_labels(where, {key: toleration.value or ""})
    evicts = seconds is None or toleration.effect == "NoExecute"
    require(evicts, f"{where}.tolerationSeconds", seconds, "leave it out, or write effect NoExecute")
    effect = _enum(kplus.TaintEffect, toleration.effect) if toleration.effect else None
    stay = None if seconds is None else cdk8s.Duration.seconds(seconds)
    if exists:
        return kplus.NodeTaintQuery.exists(key, effect=effect, evict_after=stay)
    return kplus.NodeTaintQuery.is_(key, toleration.value or "", effect=effect, evict_after=stay)


def _peers(scope: Construct, section: str, peers: list[file.Peer]) -> list[kplus.INetworkPolicyPeer]:
    return [_peer(scope, f"Peer{i}", f"{section}.allowFrom[{i}]", peer) for i, peer in enumerate(peers)]


def _open_ways_out(server: aim.AimServer, destinations: list[file.Destination]) -> None:
    for index, destination in enumerate(destinations):
        peer = _peer(server, f"Destination{index}", f"server.allowTo[{index}]", destination)
        server.allow_to(peer, ports=destination.ports)


def _peer(scope: Construct, name: str, where: str, peer: file.Peer) -> kplus.INetworkPolicyPeer:
    if peer.ip_block:
        remedy = "leave it out: addresses have no labels; or write it in an entry of its own"
        require(peer.pod_selector is None, f"{where}.podSelector", peer.pod_selector, remedy)
        return _addresses(scope, name, f"{where}.ipBlock", peer.ip_block)
    namespaces = _labels(f"{where}.namespaceSelector", peer.namespace_selector)
    selected = kplus.Namespaces.select(scope, name, labels=namespaces)
    if not peer.pod_selector:
        return selected
    pods = _labels(f"{where}.podSelector", peer.pod_selector)
    return kplus.Pods.select(scope, f"{name}Pods", labels=pods, namespaces=selected)


def _labels(where: str, selector: file.Selector | None) -> dict[str, str]:
    labels = selector.match_labels if selector else {}
    check_labels(f"{where}.matchLabels", labels)
    return labels


def _addresses(scope: Construct, id: str, where: str, block: file.IpBlock) -> kplus.NetworkPolicyIpBlock:
    network = ipaddress.ip_network(check_cidr(f"{where}.cidr", block.cidr))
    parts = [check_cidr(f"{where}.except[{index}]", cidr) for index, cidr in enumerate(block.except_)]
    for index, part in enumerate(map(ipaddress.ip_network, parts)):
        inside = part.prefixlen > network.prefixlen and part.network_address in network
        require(inside, f"{where}.except[{index}]", str(part), f"write a network within {network}")
    make = kplus.NetworkPolicyIpBlock.ipv4 if network.version == 4 else kplus.NetworkPolicyIpBlock.ipv6
    return make(scope, id, str(network), parts or None)

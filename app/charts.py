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
from app.reading import Source
from constructs_lib.errors import require
from constructs_lib.names import check_labels
from constructs_lib.plus import kplus
from constructs_lib.service import check_cidr

_E = TypeVar("_E", bound=Enum)

_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")

_SECTIONS = {"storage", "server"}
"""Ids of the constructs that have a section of their own in the file."""


def add_instance(app: cdk8s.App, source: Source) -> cdk8s.Chart:
    """Add the chart of an instance to an app.

    Raises:
        InputError: a value that cannot work, named by its key in the file.
    """
    try:
        return InstanceChart(app, source)
    except aim.OptionError as error:
        raise InputError(f"{source.path}: {_key(error)}: {error.value!r}: {error.remedy}") from None


class InstanceChart(cdk8s.Chart):
    """Everything that one instance is, in the order in which an empty cluster can take it."""

    def __init__(self, scope: Construct, source: Source) -> None:
        instance = source.instance
        super().__init__(scope, source.stem, namespace=instance.namespace, disable_resource_name_hashes=True)
        if instance.create_namespace:
            aim.AimNamespace(self, "namespace")
        storage = _storage(self, source.name, instance.storage)
        server = _server(self, storage, instance)
        _extend_pod(server, instance.server)
        for index, peer in enumerate(instance.server.allow_from):
            server.allow_from(_peer(server, f"Peer{index}", peer))


def _key(error: aim.OptionError) -> str:
    option = ".".join(to_camel(part) for part in error.option.split("."))
    section = error.construct.rpartition("/")[2]
    top_level = option.split(".")[0] in {field.alias for field in file.Instance.model_fields.values()}
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
        owner=aim.Owner(**dict(storage.owner)) if storage.owner else None,
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
        suspend=server.suspend,
        service=_service(server.service),
        resources=aim.Resources(**dict(server.resources)) if server.resources else aim.DEFAULT_RESOURCES,
        node_selector=server.node_selector,
        priority_class_name=server.priority_class_name,
        allow_anonymous=server.allow_anonymous,
        deployment_name=server.deployment_name,
        supervisor_name=server.supervisor_name,
        labels=server.labels,
        annotations=server.annotations,
        pod_annotations=server.pod_annotations,
    )


def _service(service: file.Service) -> aim.ServiceOptions:
    return aim.ServiceOptions(**{**dict(service), "type": _enum(kplus.ServiceType, service.type)})


def _extend_pod(server: aim.AimServer, options: file.Server) -> None:
    """What cdk8s-plus itself has methods for, through these."""
    env = server.deployment.containers[0].env
    taken = set(env.variables)
    for variable in options.env:
        require(
            _VARIABLE.fullmatch(variable.name), "server.env.name", variable.name, "write a name such as HTTPS_PROXY"
        )
        require(variable.name not in taken, "server.env.name", variable.name, "write it once; it has a value already")
        taken.add(variable.name)
        env.add_variable(variable.name, _value(server, variable))
    taints = [_taint(index, toleration) for index, toleration in enumerate(options.tolerations)]
    if taints:
        server.deployment.scheduling.tolerate(kplus.Node.tainted(*taints))


def _value(scope: Construct, variable: file.Variable) -> kplus.EnvValue:
    """The value of a variable; a variable of its own keeps the ids of what it refers to apart."""
    if not variable.value_from:
        return kplus.EnvValue.from_value(variable.value or "")
    secret, config_map = variable.value_from.secret_key_ref, variable.value_from.config_map_key_ref
    if secret:
        imported = kplus.Secret.from_secret_name(scope, f"Env-{variable.name}", secret.name)
        return kplus.EnvValue.from_secret_value(kplus.SecretValue(secret=imported, key=secret.key))
    assert config_map is not None  # the file's model has checked that there is exactly one
    source = kplus.ConfigMap.from_config_map_name(scope, f"Env-{variable.name}", config_map.name)
    return kplus.EnvValue.from_config_map(source, config_map.key)


def _taint(index: int, toleration: file.Toleration) -> kplus.NodeTaintQuery:
    """A toleration in cdk8s-plus's words; what those cannot say would be dropped, so it is refused."""
    key, exists, seconds = toleration.key, toleration.operator == "Exists", toleration.toleration_seconds
    where = f"server.tolerations.{index}"
    require(not (exists and toleration.value), f"{where}.value", toleration.value, "leave it out: Exists takes none")
    require(exists or key, f"{where}.key", key, "write the key of the taint, or operator Exists")
    if not key:
        alone = not toleration.effect and seconds is None
        require(alone, f"{where}.effect", toleration.effect, "name the key too: without one, every taint is tolerated")
        return kplus.NodeTaintQuery.any()
    evicts = seconds is None or toleration.effect == "NoExecute"
    require(evicts, f"{where}.tolerationSeconds", seconds, "leave it out, or write effect NoExecute")
    effect = _enum(kplus.TaintEffect, toleration.effect) if toleration.effect else None
    stay = None if seconds is None else cdk8s.Duration.seconds(seconds)
    if exists:
        return kplus.NodeTaintQuery.exists(key, effect=effect, evict_after=stay)
    return kplus.NodeTaintQuery.is_(key, toleration.value or "", effect=effect, evict_after=stay)


def _peer(scope: Construct, id: str, peer: file.Peer) -> kplus.INetworkPolicyPeer:
    if peer.ip_block:
        return _addresses(scope, id, peer.ip_block)
    labels = peer.namespace_selector.match_labels if peer.namespace_selector else {}
    check_labels("server.allowFrom.namespaceSelector.matchLabels", labels)
    namespaces = kplus.Namespaces.select(scope, id, labels=labels)
    if not peer.pod_selector:
        return namespaces
    check_labels("server.allowFrom.podSelector.matchLabels", peer.pod_selector.match_labels)
    return kplus.Pods.select(scope, f"{id}Pods", labels=peer.pod_selector.match_labels, namespaces=namespaces)


def _addresses(scope: Construct, id: str, block: file.IpBlock) -> kplus.NetworkPolicyIpBlock:
    check_cidr("server.allowFrom.ipBlock.cidr", block.cidr)
    network = ipaddress.ip_network(block.cidr)
    for cidr in block.except_:
        check_cidr("server.allowFrom.ipBlock.except", cidr)
        part = ipaddress.ip_network(cidr)
        inside = part.prefixlen > network.prefixlen and part.network_address in network
        require(inside, "server.allowFrom.ipBlock.except", cidr, f"write a network within {network}")
    make = kplus.NetworkPolicyIpBlock.ipv4 if network.version == 4 else kplus.NetworkPolicyIpBlock.ipv6
    return make(scope, id, str(network), block.except_ or None)

"""`AimPod`: one way to make a pod, whatever the workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from constructs_lib.declarations import check_type
from constructs_lib.errors import kind_of, reported_by, require, require_type
from constructs_lib.kubernetes.names import check_container_name
from constructs_lib.plus import identity, k8s, kplus
from constructs_lib.pods.environment import EnvVar, check_environment
from constructs_lib.pods.image import ImageOptions, check_image_options
from constructs_lib.pods.json_patches import (
    PodOrWorkload,
    check_workload,
    path_of,
    path_of_volume,
    remove_field,
    set_fields,
)
from constructs_lib.pods.pod_options import PodOptions
from constructs_lib.pods.probes import Probes
from constructs_lib.pods.resources import Resources
from constructs_lib.pods.security import harden_container, harden_pod

MOUNT_PATH = "/aim"
"""Path of the volume of runs in every container; the Aim repository is the directory `.aim` on it."""

_POLICIES = {
    "Always": kplus.ImagePullPolicy.ALWAYS,
    "IfNotPresent": kplus.ImagePullPolicy.IF_NOT_PRESENT,
    "Never": kplus.ImagePullPolicy.NEVER,
}

DEFAULT_POD = PodOptions()
NO_RESOURCES = Resources()
NO_PROBES = Probes()

_CONTAINER: Mapping[str, object] = {
    "command": Sequence[str] | None,
    "args": Sequence[str] | None,
    "working_dir": str | None,
    "ports": Sequence[kplus.ContainerPort],
    "probes": Mapping[str, kplus.Probe],
    "resources": Resources,
    "security_context": kplus.ContainerSecurityContextProps | None,
    "init": bool,
}
"""Arguments of a container, and their types: a text is a list of letters to Python."""


class AimPod:
    """The pod of a workload, brought to Pod Security "restricted".

    A container is added and hardened in one call, and changed by the container itself. Give the workload
    `security_context=pod_security_context(owner)` where its pod writes to a storage.

    Attributes:
        workload: a Pod, Job, CronJob, Deployment, StatefulSet or DaemonSet without containers.
        options: scheduling and metadata of the pod.
    """

    def __init__(self, workload: PodOrWorkload, *, options: PodOptions = DEFAULT_POD) -> None:
        """Wrap a workload.

        Args:
            workload: a Pod, Job, CronJob, Deployment, StatefulSet or DaemonSet without containers.
            options: scheduling and metadata of the pod. Default: none.

        Raises:
            OptionError: an option that cannot work.
        """
        check_workload(workload)
        with reported_by(workload):
            require_type("options", options, PodOptions, "write PodOptions(...)")
            options.check()
        self.workload = workload
        self.options = options
        self._claims: set[str] = set()
        self._names: dict[str, str] = {}
        harden_pod(workload, options.spec)
        for key, value in options.pod_annotations.items():
            workload.pod_metadata.add_annotation(key, value)

    def add_container(
        self,
        *,
        name: str = "main",
        image: ImageOptions,
        command: Sequence[str] | None = None,
        args: Sequence[str] | None = None,
        working_dir: str | None = None,
        ports: Sequence[kplus.ContainerPort] = (),
        probes: Probes = NO_PROBES,
        resources: Resources = NO_RESOURCES,
        env: Sequence[EnvVar] = (),
        security_context: kplus.ContainerSecurityContextProps | None = None,
        store: kplus.IStorage | None = None,
        init: bool = False,
    ) -> kplus.Container:
        """Add a container, hardened.

        Args:
            name: of the container, a DNS-1123 label that no other one in the pod has. Default: `main`.
            image: what it runs on; the pod gets its pull secrets.
            command: instead of the image's entry point. Default: that one.
            args: of the command. Default: the image's.
            working_dir: Default: the image's.
            ports: that it listens on. Default: none.
            probes: of the kubelet. Default: none.
            resources: requests and limits. Default: none.
            env: environment variables. Default: none.
            security_context: what differs from a user without privileges on a read-only root. Default: nothing.
            store: is mounted at `/aim`. Default: nothing.
            init: whether it runs before the others, after the init containers that are there. Default: False.

        Raises:
            OptionError: a faulty image, resource or variable, a value of another type, or a name that is taken.
        """
        with reported_by(self.workload):
            self._check_name(name)
            _check_container(
                command=command,
                args=args,
                working_dir=working_dir,
                ports=ports,
                probes=probes,
                resources=resources,
                security_context=security_context,
                init=init,
            )
            _check_parts(image, resources, env, store)
        add = self.workload.add_init_container if init else self.workload.add_container
        container = add(
            name=name,
            image=image.image,
            image_pull_policy=_POLICIES[image.image_pull_policy],
            command=list(command) if command else None,
            args=list(args) if args else None,
            working_dir=working_dir,
            ports=list(ports) or None,
            # cdk8s-plus writes its own where there are none
            resources=kplus.ContainerResources(),
            security_context=security_context,
            **probes,
        )
        self._names[identity(container)] = name
        harden_container(self.workload, container)
        self._complete(container, image, resources, env)
        if store:
            self._mount_store(container, store)
        return container

    def mount_claim(
        self, container: kplus.Container, path: str, store: kplus.IStorage, *, read_only: bool = False
    ) -> None:
        """Mount the volume of a claim in a container.

        Args:
            container: of this pod.
            path: where.
            store: whose volume it is.
            read_only: whether the container must not write to it. Default: False.
        """
        container.mount(path, store, read_only=read_only or None)
        self._remove_read_only(store.as_volume())

    def set(self, container: kplus.Container, fields: Mapping[str, object]) -> None:
        """Set fields of a container that cdk8s-plus-27 cannot express.

        Args:
            container: of this pod.
            fields: values by JSON pointers below the container.

        Raises:
            OptionError: a container of another pod.
        """
        with reported_by(self.workload):
            path = path_of(self.workload, container)
        set_fields(self.workload, {f"{path}/{field}": value for field, value in fields.items()})

    def _check_name(self, name: str) -> None:
        check_container_name("name", name)
        for each in (*self.workload.containers, *self.workload.init_containers):
            key = identity(each)
            # each name that is asked for is a message to Node.js
            self._names[key] = self._names.get(key) or each.name
        require(name not in self._names.values(), "name", name, "write another one: a container of the pod has it")

    def _mount_store(self, container: kplus.Container, store: kplus.IStorage) -> None:
        container.mount(MOUNT_PATH, store)
        # nothing else is mounted yet; to ask for the pod's volumes takes fourteen messages to Node.js
        first = path_of(self.workload, container) == "containers/0"
        self._remove_read_only(store.as_volume(), "volumes/0" if first else None)

    def _remove_read_only(self, volume: kplus.Volume, path: str | None = None) -> None:
        name = volume.name
        if name not in self._claims:
            self._claims.add(name)
            path = path or path_of_volume(self.workload, volume)
            remove_field(self.workload, f"{path}/persistentVolumeClaim/readOnly")

    def _complete(
        self, container: kplus.Container, image: ImageOptions, resources: Resources, env: Sequence[EnvVar]
    ) -> None:
        requirements = resources.render()
        if requirements:
            self.set(container, {"resources": requirements})
        if image.image_pull_secrets:
            secrets = [k8s.LocalObjectReference(name=secret) for secret in image.image_pull_secrets]
            set_fields(self.workload, {"imagePullSecrets": secrets})
        for variable in env:
            add_variable(self.workload, container, variable)


def _check_container(**arguments: object) -> None:
    for option, value in arguments.items():
        check_type(option, value, _CONTAINER[option])


def _check_parts(
    image: ImageOptions, resources: Resources, env: Sequence[EnvVar], store: kplus.IStorage | None
) -> None:
    check_image_options(image)
    resources.check()
    check_environment("env", env)
    remedy = "write an AimStorage, such as server.storage"
    require(store is None or hasattr(store, "as_volume"), "store", kind_of(store), remedy)


def add_variable(workload: PodOrWorkload, container: kplus.Container, variable: EnvVar) -> None:
    """Add an environment variable to a container."""
    value = _value(workload, container, variable)
    container.env.add_variable(variable.name, value)
    if variable.value == "":
        # the API server drops an empty value, and every `kubectl apply` would answer "configured"
        index = list(container.env.variables).index(variable.name)
        remove_field(workload, f"{path_of(workload, container)}/env/{index}/value")


def _value(workload: PodOrWorkload, container: kplus.Container, variable: EnvVar) -> kplus.EnvValue:
    source, unique = variable.value_from, f"Env-{container.name}-{variable.name}"
    if source and source.secret_key_ref:
        reference = source.secret_key_ref
        # an id of its own for each variable: two may come from one object
        secret = kplus.Secret.from_secret_name(workload, unique, reference.name)
        return kplus.EnvValue.from_secret_value(kplus.SecretValue(secret=secret, key=reference.key))
    if source and source.config_map_key_ref:
        reference = source.config_map_key_ref
        config_map = kplus.ConfigMap.from_config_map_name(workload, unique, reference.name)
        return kplus.EnvValue.from_config_map(config_map, reference.key)
    return kplus.EnvValue.from_value(variable.value or "")

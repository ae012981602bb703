"""Containers that the supervisor runs, with Aim in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cdk8s
from constructs import Construct

from constructs_lib.plus import kplus
from constructs_lib.pods.image import ImageOptions
from constructs_lib.pods.pod import MOUNT_PATH, AimPod
from constructs_lib.pods.probes import health_probes
from constructs_lib.pods.resources import Resources
from constructs_lib.pods.supervisor_configmap import WORKING_DIR, Supervisor

SCRATCH = "/tmp"
"""Where the scratch volume is mounted: SQLite spills sorts above some 2 MB there, from some 1,500 tagged runs on."""

SCRATCH_SIZE = cdk8s.Size.mebibytes(512)
"""Size limit of the scratch volume; a sort of 10,000 tagged runs takes some 20 MB of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What the supervisor does in a container.

    Its command line stays compatible: an image may bring the supervisor of another commit.

    Attributes:
        name: of the role, the first argument of the supervisor.
        container: name of the container.
        port_name: of the port that clients reach.
        port: that clients reach.
        health_name: of the port that the kubelet asks.
        health_port: that the kubelet asks; no Service and no network rule leads to it.
        base_path: what every URL starts with; empty for none.
        arguments: further ones.
        loopback: whether clients reach it from within the pod only, as a login is in front of it.
    """

    name: str
    container: str
    port_name: str
    port: int
    health_name: str
    health_port: int
    base_path: str = ""
    arguments: Sequence[str] = ()
    loopback: bool = False

    def command(self, supervisor: Supervisor) -> list[str]:
        """Make the command of the container."""
        ports = ["--port", str(self.port), "--health-port", str(self.health_port)]
        base_path = ["--base-path", self.base_path] if self.base_path else []
        host = ["--host", "127.0.0.1"] if self.loopback else []
        start = ["python3", "-m", "supervisor", self.name, "--repository", MOUNT_PATH]
        return [*start, *ports, *host, *self.arguments, *supervisor.options, *base_path]

    @property
    def ports(self) -> list[kplus.ContainerPort]:
        """Ports that are reached from outside of the pod: that of clients, and that of the kubelet."""
        health = kplus.ContainerPort(name=self.health_name, number=self.health_port)
        return [health] if self.loopback else [kplus.ContainerPort(name=self.port_name, number=self.port), health]


class AimContainers:
    """Adds containers with Aim and its supervisor to one pod.

    Attributes:
        pod: the pod.
        image: what they run on.
        supervisor: how it comes into the pod.
        scratch: the volume for temporary files, the only place besides the runs that they can write to.
    """

    def __init__(
        self, scope: Construct, *, pod: AimPod, image: ImageOptions, supervisor: Supervisor, store: kplus.IStorage
    ) -> None:
        """Make the scratch volume; the containers share it.

        Args:
            scope: where its construct is made.
            pod: to add to.
            image: what they run on.
            supervisor: how it comes into the pod.
            store: is mounted at `/aim`.
        """
        self.pod = pod
        self.image = image
        self.supervisor = supervisor
        self.scratch = kplus.Volume.from_empty_dir(scope, "Scratch", "tmp", size_limit=SCRATCH_SIZE)
        self._store = store

    def add(self, role: Role, resources: Resources) -> kplus.Container:
        """Add a container with a role, probed and with everything that it needs mounted."""
        container = self.pod.add_container(
            name=role.container,
            image=self.image,
            command=role.command(self.supervisor),
            working_dir=WORKING_DIR,
            ports=role.ports,
            probes=health_probes(role.health_port),
            resources=resources.with_scratch(),
            store=self._store,
        )
        self.supervisor.mount_in(container)
        container.mount(SCRATCH, self.scratch)
        return container

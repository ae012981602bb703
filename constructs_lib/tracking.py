"""`AimTracking`: what records runs over the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from constructs_lib.admission import admit, default_peers
from constructs_lib.carrier import WORKING_DIR
from constructs_lib.errors import check_whole, require
from constructs_lib.hardening import harden_container
from constructs_lib.plus import kplus
from constructs_lib.pods import add_to_pod
from constructs_lib.process import REPOSITORY, SCRATCH, check_base_path, probes, supervised
from constructs_lib.resources import Resources

if TYPE_CHECKING:
    from constructs_lib.server import AimServer

TRACKING_PORT = 53800
"""Port of Aim's tracking server in the pod, and by default that of the Service."""

TRACKING_HEALTH_PORT = 53801
"""Port on which the supervisor of the tracking server answers the kubelet."""

DEFAULT_TRACKING_RESOURCES = Resources(
    requests={"cpu": "100m", "memory": "256Mi"},
    limits={"cpu": "1", "memory": "1Gi"},
)
"""Measured: see the sizing table in docs/operations.md. One process, so it cannot use more than one CPU."""


class AimTracking(Construct):
    """Aim's tracking server, `aim server`: a second container in the pod of an `AimServer`, on the same volume.

    Made by `AimServer.add_tracking`. Like the web server it has no login, and whoever reaches it can also delete every
    run: the NetworkPolicy admits the pods of the same namespace only, until `allow_from` admits more.

    Attributes:
        container: the container.
        url: what `aim.Run(repo=...)` takes within the cluster, such as `aim://aim.ml.svc:53800`.
    """

    container: kplus.Container
    url: str

    def __init__(self, server: AimServer, *, port: int, base_path: str, resources: Resources) -> None:
        """Add it to a server; options as in `AimServer.add_tracking`, and checked there."""
        super().__init__(server, "Tracking")
        self._server = server
        self.url = f"aim://{server.host}:{port}{base_path}"
        self.container = self._add_container(base_path, resources)
        self._add_port(port)
        self.allow_from(*default_peers(self, exposed=server.exposed))

    def allow_from(self, *peers: kplus.INetworkPolicyPeer) -> kplus.NetworkPolicy:
        """Let more record than the pods of the same namespace; returns the server's policy.

        Args:
            peers: pods (`kplus.Pods.select`, any workload), namespaces (`kplus.Namespaces.select`) or addresses
                (`kplus.NetworkPolicyIpBlock.ipv4`).
        """
        admit(self._server.network_policy, TRACKING_PORT, *peers)
        return self._server.network_policy

    def _add_container(self, base_path: str, resources: Resources) -> kplus.Container:
        deployment = self._server.deployment
        web = deployment.containers[0]
        container = deployment.add_container(
            name="tracking",
            image=web.image,
            image_pull_policy=web.image_pull_policy,
            command=supervised(
                "track",
                TRACKING_PORT,
                base_path,
                *self._server.supervisor.options,
                health_port=TRACKING_HEALTH_PORT,
            ),
            working_dir=WORKING_DIR,
            ports=[
                kplus.ContainerPort(name="tracking", number=TRACKING_PORT),
                kplus.ContainerPort(name="tracking-health", number=TRACKING_HEALTH_PORT),
            ],
            resources=kplus.ContainerResources(),
            **probes(TRACKING_HEALTH_PORT),
        )
        container.mount(REPOSITORY, self._server.storage)
        container.mount(SCRATCH, self._server.scratch)
        self._server.supervisor.mount_in(container)
        index = len(deployment.containers) - 1
        harden_container(deployment, f"containers/{index}")
        fields = {
            f"containers/{index}/resources": resources.with_scratch().render(),
            # with one host name and processes that they cannot see, Aim's locks take a live holder for dead
            "shareProcessNamespace": True,
            # a pod is ready as a whole: a web server that is busy searching would shut out training that records, so
            # the liveness probe says that it is stuck, after two and a half minutes, before these five are over
            "containers/0/readinessProbe/failureThreshold": 60,
        }
        add_to_pod(deployment, fields)
        return container

    def _add_port(self, port: int) -> None:
        service = self._server.service
        service.bind(port, name="tracking", target_port=TRACKING_PORT)


def check_tracking(server: AimServer, *, port: int, base_path: str, resources: Resources) -> None:
    """Refuse values that cannot work, and a second tracking server."""
    existing = server.tracking and server.tracking.url
    require(not existing, "url", existing, "call add_tracking() once: it is server.tracking from then on")
    check_whole("port", port, low=1, high=65535)
    taken = {each.port for each in server.service.ports}
    require(port not in taken, "port", port, "write another one: it is the web server's")
    check_base_path("base_path", base_path)
    resources.check()

"""`AimTracking`: records runs over the network."""

from __future__ import annotations

from dataclasses import dataclass

from constructs import Construct

from constructs_lib.access.login import LOGIN_PORT, Login
from constructs_lib.access.network import NetworkRules, default_peers
from constructs_lib.plus import kplus
from constructs_lib.pods.aim_containers import AimContainers, Role
from constructs_lib.pods.json_patches import set_fields
from constructs_lib.server.front import Front
from constructs_lib.server.options import TRACKING_PORT, TrackingOptions

TRACKING_HEALTH_PORT = 53801
"""Port on which the supervisor of the tracking server answers the kubelet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """The server beside which tracking runs.

    Attributes:
        containers: adds containers to its pod.
        web: the container of the web server.
        login: in front of it, where there is one.
        service: its Service.
        rules: its network rules.
        host: name of the Service within the cluster.
        exposed: whether the Service can be reached from outside the cluster.
    """

    containers: AimContainers
    web: kplus.Container
    login: Login | None
    service: kplus.Service
    rules: NetworkRules
    host: str
    exposed: bool


class AimTracking(Construct):
    """Aim's tracking server, `aim server`: a second container in the pod of an `AimServer`, on the same volume.

    Made by `AimServer.add_tracking`. Without the server's login, a client that reaches it can record runs, and delete
    them. The NetworkPolicy admits the pods of the same namespace only, until `allow_from` admits more.

    Attributes:
        container: the container.
        front: what clients reach.
        url: what `aim.Run(repo=...)` takes within the cluster, such as `aim://aim.ml.svc:53800`.
        base_path: what every path of it begins with; empty for none.
        port: of the Service.
        needs_credentials: whether the server's login is in front of it.
    """

    container: kplus.Container
    front: Front
    url: str
    base_path: str
    port: int
    needs_credentials: bool

    def __init__(self, scope: Construct, id: str, *, beside: Neighbour, options: TrackingOptions) -> None:
        """Add it to a server, which has checked the options."""
        super().__init__(scope, id)
        self._rules = beside.rules
        self.base_path, self.port = options.base_path, options.port
        self.needs_credentials = beside.login is not None and not options.without_login
        self.url = f"aim://{beside.host}:{options.port}{options.base_path}"
        role = Role(
            name="track",
            container="tracking",
            port_name="tracking",
            port=TRACKING_PORT,
            health_name="tracking-health",
            health_port=TRACKING_HEALTH_PORT,
            base_path=options.base_path,
            loopback=self.needs_credentials,
        )
        self.container = beside.containers.add(role, options.resources)
        self.front = Front(container=self.container, name=role.port_name, port=role.port)
        if beside.login:
            beside.login.add_tracking(role.port, options.base_path)
        if beside.login and self.needs_credentials:
            self.front = Front(container=beside.login.container, name=role.port_name, port=LOGIN_PORT)
        _share_pod(beside)
        beside.service.bind(options.port, name=self.front.name, target_port=self.front.port)
        if not self.needs_credentials:  # the login admits its own peers already
            self.allow_from(*default_peers(self, exposed=beside.exposed))

    def allow_from(self, *peers: kplus.INetworkPolicyPeer) -> kplus.NetworkPolicy:
        """Let more record than the pods of the same namespace; returns the server's policy.

        Args:
            peers: pods (`kplus.Pods.select`, any workload), namespaces (`kplus.Namespaces.select`) or addresses
                (`kplus.NetworkPolicyIpBlock.ipv4`).
        """
        self._rules.allow_from(self.front.port, peers)
        return self._rules.policy


def _share_pod(beside: Neighbour) -> None:
    """Make two containers live in one pod."""
    pod = beside.containers.pod
    # both have one host name, by which Aim takes a lock for stale when it does not see the holder's process
    set_fields(pod.workload, {"shareProcessNamespace": True})
    # a pod is ready as a whole: a web server that is busy searching would shut out training that records, so the
    # liveness probe says that it is stuck, after two and a half minutes, long before these five are over
    pod.set(beside.web, {"readinessProbe/failureThreshold": 60})

"""`AimTracking`: records runs over the network."""

from __future__ import annotations

from constructs import Construct

from constructs_lib.access.login import LOGIN_PORT
from constructs_lib.access.network import default_peers
from constructs_lib.access.peers import Peer
from constructs_lib.errors import reported_by
from constructs_lib.plus import kplus
from constructs_lib.pods.aim_containers import Role
from constructs_lib.pods.json_patches import set_fields
from constructs_lib.server.front import Front
from constructs_lib.server.metrics import TRACKING_HEALTH
from constructs_lib.server.parts import ServerParts
from constructs_lib.server.server_options import TRACKING_PORT, TrackingOptions

TRACKING_HEALTH_PORT = 53801
"""Port on which the supervisor of the tracking server answers the kubelet."""


class AimTracking(Construct):
    """Aim's tracking server, `aim server`: a second container in the pod of an `AimServer`, on the same volume.

    Made by `AimServer.add_tracking`. Without the server's login, a client that reaches it can record runs, and delete
    them. The NetworkPolicy admits the pods of the same namespace only, until `allow_from` admits more.

    Attributes:
        container: the container.
        front: what clients reach.
        url: what `aim.Run(repo=...)` takes within the cluster, such as `aim://aim.ml.svc:53800`.
        base_path: prefix of every path; empty for none.
        port: of the Service.
        needs_credentials: whether the server's login is in front of it.
    """

    container: kplus.Container
    front: Front
    url: str
    base_path: str
    port: int
    needs_credentials: bool

    def __init__(self, scope: Construct, id: str, *, server: ServerParts, options: TrackingOptions) -> None:
        """Add the container to the pod of a server, which has checked the options.

        Args:
            scope: the server.
            id: of this construct.
            server: what it needs of the server.
            options: port, path and resources.
        """
        super().__init__(scope, id)
        self._rules = server.rules
        self.base_path, self.port = options.base_path, options.port
        self.needs_credentials = server.login is not None and not options.without_login
        self.url = f"aim://{server.host}:{options.port}{options.base_path}"
        role = Role(
            name="track",
            container="tracking",
            port_name="tracking",
            port=TRACKING_PORT,
            health_name=TRACKING_HEALTH,
            health_port=TRACKING_HEALTH_PORT,
            base_path=options.base_path,
            loopback=self.needs_credentials,
        )
        self.container = server.containers.add(role, options.resources)
        self.front = Front(container=self.container, name=role.port_name, port=role.port)
        if server.login:
            server.login.add_tracking(role.port, options.base_path)
        if server.login and self.needs_credentials:
            self.front = Front(container=server.login.container, name=role.port_name, port=LOGIN_PORT)
        _share_pod(server)
        server.service.bind(options.port, name=self.front.name, target_port=self.front.port)
        if not self.needs_credentials:  # the login admits its own peers already
            peers = default_peers(self, exposed=server.plan.options.service.exposed)
            self._rules.allow_from(self.front.port, peers)

    def allow_from(self, *peers: Peer | kplus.INetworkPolicyPeer) -> kplus.NetworkPolicy:
        """Let more record than the pods of the same namespace; returns the server's policy.

        Args:
            peers: `Peer`, or pods (`kplus.Pods.select`, any workload), namespaces (`kplus.Namespaces.select`) or
                addresses (`kplus.NetworkPolicyIpBlock.ipv4`).

        Raises:
            OptionError: no peer, or something else.
        """
        with reported_by(self):
            self._rules.admit(self.front.port, peers)
        return self._rules.policy


def _share_pod(server: ServerParts) -> None:
    """Make two containers live in one pod."""
    pod = server.containers.pod
    # both have one host name, by which Aim takes a lock for stale when it does not see the holder's process
    set_fields(pod.workload, {"shareProcessNamespace": True})
    # a pod is ready as a whole: a web server that is busy searching would shut out training that records, so the
    # liveness probe says that it is stuck, after two and a half minutes, long before these five are over
    pod.set(server.web, {"readinessProbe/failureThreshold": 60})

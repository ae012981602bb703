"""`AimServer`: the Aim web server, with its Deployment, Service and NetworkPolicy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cdk8s
from constructs import Construct

from constructs_lib.access.ingress import IngressOptions
from constructs_lib.access.login import LOGIN_PORT, Login
from constructs_lib.access.login_options import OidcOptions
from constructs_lib.access.network import NetworkRules, default_peers
from constructs_lib.access.peers import Peer, check_ports
from constructs_lib.access.route import RouteOptions
from constructs_lib.declarations import check_type
from constructs_lib.errors import OptionError, below, reported_by, require, require_type
from constructs_lib.labels import SERVER, common_labels
from constructs_lib.plus import ADDRESS_LABEL, kplus
from constructs_lib.pods.aim_containers import AimContainers
from constructs_lib.pods.environment import KeyRef
from constructs_lib.pods.image import DEFAULT_IMAGE_OPTIONS, ImageOptions
from constructs_lib.pods.json_patches import PodOrWorkload, check_workload
from constructs_lib.pods.pod import AimPod, add_variable
from constructs_lib.pods.security import pod_security_context
from constructs_lib.pods.supervisor_configmap import Supervisor
from constructs_lib.recording.connect import connect
from constructs_lib.registry import check_free, take
from constructs_lib.server.front import Front
from constructs_lib.server.metrics import Metrics, MetricsOptions
from constructs_lib.server.parts import ServerParts
from constructs_lib.server.plan import resolve
from constructs_lib.server.routes import Routes
from constructs_lib.server.server_options import DEFAULT_SERVER, DEFAULT_TRACKING, ServerOptions, TrackingOptions
from constructs_lib.server.tracking import TRACKING_HEALTH_PORT, AimTracking
from constructs_lib.storage.storage import AimStorage

GRACE_PERIOD = cdk8s.Duration.seconds(60)
"""From SIGTERM to SIGKILL: the supervisor gives running queries 30 s, and ends within 45 s whatever happens."""

PROGRESS_DEADLINE = cdk8s.Duration.minutes(20)
"""Until Kubernetes calls a roll-out stuck: longer than a start may take."""


class AimServer(Construct):
    """One Aim server on one storage: a Deployment, a Service, and a NetworkPolicy that closes both ways.

    There is one pod and no `replicas`: Aim's store has one indexer, and a second one kills it or corrupts the index.

    Aim has no login: the policy admits the pods of the same namespace only, until `allow_from` admits more. With
    `options.login`, one is in front of it, and Aim listens within the pod only. Aim itself calls nobody, and the node
    mounts the volume: the pod reaches nothing until `allow_to` names it, but the provider of a login.

    Attributes:
        name: name of the instance.
        storage: where its runs are.
        deployment: the Deployment; for what has no option here (affinity, further volumes) use its own methods.
        pod: adds containers to it, and changes them.
        service: the Service.
        network_policy: the NetworkPolicy.
        supervisor: how the supervisor comes into the pod.
        scratch: the pod's volume for temporary files, mounted at `/tmp`.
        container: the web server's container.
        front: the container and port that clients reach; with a login, the container is the login's.
        host: name of the Service within the cluster, such as `aim.ml.svc`.
        url: where the server is reached within the cluster, such as `http://aim.ml.svc/`.
        login: in front of it; None without `options.login`.
        tracking: records runs over the network; None until `add_tracking`.
    """

    name: str
    storage: AimStorage
    deployment: kplus.Deployment
    pod: AimPod
    service: kplus.Service
    network_policy: kplus.NetworkPolicy
    supervisor: Supervisor
    scratch: kplus.Volume
    container: kplus.Container
    front: Front
    host: str
    url: str
    login: Login | None
    tracking: AimTracking | None

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        storage: AimStorage,
        name: str | None = None,
        image: ImageOptions = DEFAULT_IMAGE_OPTIONS,
        options: ServerOptions = DEFAULT_SERVER,
    ) -> None:
        """Make the server.

        Args:
            scope: a chart in the namespace of the storage, or a construct in one.
            id: of this construct; no name in the cluster comes from it.
            storage: where the runs are. One store has one server.
            name: of the instance, as for `AimStorage`. Default: that of the storage.
            image: what its containers run on. Default: `docker.io/aimstack/aim:3.29.1`.
            options: everything else. Default: those of `ServerOptions`.

        Raises:
            OptionError: an option that cannot work, a storage of another namespace, or one that has a server already.
        """
        with reported_by(scope, id):
            plan = resolve(cdk8s.Chart.of(scope), storage, name, image, options)
            check_free(scope, plan.entries)
            storage.server_name = plan.name
        super().__init__(scope, id)
        take(scope, plan.entries, owner=self)
        self.name, self.storage, self._plan = plan.name, storage, plan
        # before the Deployment: kubectl applies in the order of the file
        self.supervisor = Supervisor(
            self, "Supervisor", source=options.supervisor, prefix=plan.supervisor, metadata=self._metadata
        )
        self.login = self._make_login()
        self._metrics: Metrics | None = None
        self._make_pod()
        self._make_access()
        self._parts = self._make_parts()
        self._routes = Routes(self, "Routes", self._parts)
        self.tracking = None

    def add_tracking(self, options: TrackingOptions = DEFAULT_TRACKING) -> AimTracking:
        """Add Aim's tracking server, which records runs over the network; returns it, and it is `tracking` from now on.

        For training in other namespaces, and over storage that only the server can mount: ReadWriteOnce block volumes.

        Args:
            options: port, path and resources. Default: those of `TrackingOptions`.

        Raises:
            OptionError: an option that cannot work, or a second call.
        """
        with reported_by(self), below("tracking"):
            existing = self.tracking and self.tracking.url
            require(not existing, "url", existing, "call add_tracking() once: it is server.tracking from then on")
            require_type("options", options, TrackingOptions, "write TrackingOptions(...)")
            options.check()
            remedy = "call add_tracking() before the server is exposed: its paths lead there, too"
            require(not self.public_urls, "url", self.public_urls, remedy)
            self._check_without_login(options)
            taken = {each.port for each in self.service.ports}
            require(options.port not in taken, "port", options.port, "write another one: it is the web server's")
        self.tracking = AimTracking(self, "Tracking", server=self._parts, options=options)
        if self._metrics:
            self._metrics.admit(TRACKING_HEALTH_PORT)
        return self.tracking

    def expose_via_ingress(self, options: IngressOptions) -> cdk8s.ApiObject:
        """Have an Ingress lead a host name to the server, and to tracking; returns it.

        The server answers to the names of the Ingress and of its Service only, from then on.

        Args:
            options: host name, class and certificate.

        Raises:
            OptionError: an option that cannot work, a second Ingress, or neither a login nor `allow_anonymous`.
        """
        with reported_by(self), below("ingress"):
            self._routes.check_ingress(options)
        return self._routes.add_ingress(options, self.tracking)

    def expose_via_route(self, options: RouteOptions) -> cdk8s.ApiObject:
        """Have Gateways lead host names to the server, and to tracking, by an HTTPRoute; returns it.

        The server answers to these names and those of its Service only, from then on.

        Args:
            options: host names and Gateways.

        Raises:
            OptionError: an option that cannot work, a second route, or neither a login nor `allow_anonymous`.
        """
        with reported_by(self), below("route"):
            self._routes.check_route(options)
        return self._routes.add_route(options, self.tracking)

    @property
    def public_urls(self) -> Sequence[str]:
        """Where people open the server by its Ingress and HTTPRoute, in the order in which it was exposed."""
        return tuple(self._routes.urls)

    @property
    def tracking_url(self) -> str:
        """What `aim.Run(repo=...)` takes within the cluster, such as `aim://aim.ml.svc:53800`.

        Raises:
            OptionError: there is no tracking server.
        """
        with reported_by(self):
            if self.tracking is None:
                raise OptionError("tracking", None, "call add_tracking() first")
        return self.tracking.url

    def connect(self, workload: PodOrWorkload, *, credentials: KeyRef | None = None) -> None:
        """Let the containers of a workload record over the network: `aim.Run(repo=os.environ["AIM_REPO"])`.

        A workload of another namespace must be admitted too, by `tracking.allow_from`.

        Args:
            workload: with all of its containers.
            credentials: key of a Secret in the workload's namespace that holds `user:token`, for the login; `make
                login` prints one. Default: none, where there is no login.

        Raises:
            OptionError: no tracking server, no workload, a login without credentials or credentials without a login, a
                container that has the variable, or a namespace from which the server's name cannot be resolved.
        """
        url = self.tracking_url
        check_workload(workload)
        with reported_by(workload):
            self._check_connection(workload, credentials)
            connect(workload, url, credentials)

    def allow_from(self, *peers: Peer | kplus.INetworkPolicyPeer) -> kplus.NetworkPolicy:
        """Let more open it than the pods of the same namespace; returns the policy.

        Args:
            peers: `Peer`, or pods (`kplus.Pods.select`, any workload), namespaces (`kplus.Namespaces.select`) or
                addresses (`kplus.NetworkPolicyIpBlock.ipv4`).

        Raises:
            OptionError: no peer, or something else.
        """
        with reported_by(self):
            self._rules.admit(self.front.port, peers)
        return self.network_policy

    def allow_to(self, *peers: Peer | kplus.INetworkPolicyPeer, ports: Sequence[int] = (443,)) -> kplus.NetworkPolicy:
        """Let the pod reach something, such as the S3 store of artifacts, and the cluster's DNS; returns the policy.

        Args:
            peers: `Destination`, which has ports of its own, `Peer`, or pods (`kplus.Pods.select`, any workload),
                namespaces (`kplus.Namespaces.select`) or addresses (`kplus.NetworkPolicyIpBlock.ipv4`).
            ports: TCP ports of those without their own, 1 to 65535; of pods, those that they listen on. Default: 443.

        Raises:
            OptionError: no peer, or something else; no port, or a number that is no port.
        """
        with reported_by(self):
            check_ports("ports", ports)
            self._rules.reach(peers, ports)
        return self.network_policy

    def _make_pod(self) -> None:
        options = self._plan.options
        self.deployment = self._make_deployment()
        self.pod = AimPod(self.deployment, options=options)
        self._containers = AimContainers(
            self, pod=self.pod, image=self._plan.image, supervisor=self.supervisor, store=self.storage
        )
        self.scratch = self._containers.scratch
        container = self._containers.add(self._plan.role, options.resources)
        for variable in options.env:
            add_variable(self.deployment, container, variable)
        self.container = container
        self.front = Front(container=container, name=self._plan.role.port_name, port=self._plan.role.port)
        if self.login and options.login:
            image, own_user = replace(self._plan.image, image=options.login.image), self.storage.owner is not None
            login = self.login.add_to(self.pod, image=image, upstream=self.front.port, own_user=own_user)
            self.front = Front(container=login, name=self.front.name, port=LOGIN_PORT)

    def _make_access(self) -> None:
        plan, service = self._plan, self._plan.options.service
        pods = kplus.Pods.select(self, "Pods", labels=self._selector)
        self.service = service.render(
            self,
            "Service",
            metadata=self._metadata(plan.service, service.annotations),
            pods=pods,
            front=self.front,
        )
        self.host = f"{plan.service}.{self.storage.namespace}.svc" if self.storage.namespace else plan.service
        self.url = f"http://{self.host}{'' if service.port == 80 else f':{service.port}'}{plan.options.base_path}/"
        self._rules = NetworkRules(self, "Access", pods=pods, metadata=self._metadata(plan.deployment))
        self.network_policy = self._rules.policy
        self._rules.allow_from(self.front.port, default_peers(self, exposed=service.exposed))
        login = plan.options.login
        if login and login.oidc:
            self._reach(login.oidc)
        if plan.options.metrics:
            self._metrics = self._make_metrics(plan.options.metrics)

    def _make_metrics(self, options: MetricsOptions) -> Metrics:
        plan = self._plan
        metrics = Metrics(self, "Metrics", options=options, rules=self._rules, selector=self._selector)
        metrics.admit(plan.role.health_port)
        metrics.make_objects(plan.name, plan.deployment, self._metadata)
        return metrics

    def _reach(self, provider: OidcOptions) -> None:
        """Let the pod ask the provider of a login."""
        if provider.allow_to:
            self._rules.reach(provider.allow_to, ())
        else:
            self._rules.allow_to_public(provider.ports)

    def _make_login(self) -> Login | None:
        """Make what the login reads: before the Deployment, as kubectl applies in the order of the file."""
        plan, options = self._plan, self._plan.options
        if not options.login:
            return None
        metadata = self._metadata(plan.login_files)
        return Login(
            self, "Login", options=options.login, name=plan.name, base_path=options.base_path, metadata=metadata
        )

    def _make_parts(self) -> ServerParts:
        return ServerParts(
            plan=self._plan,
            place=self.storage.place,
            containers=self._containers,
            web=self.container,
            front=self.front,
            login=self.login,
            service=self.service,
            host=self.host,
            rules=self._rules,
            metadata=self._metadata,
        )

    def _check_connection(self, workload: PodOrWorkload, credentials: KeyRef | None) -> None:
        needed = self.tracking is not None and self.tracking.needs_credentials
        remedy = "name a Secret with user:token, which the login of the server asks for"
        require(credentials is not None or not needed, "credentials", None, remedy)
        check_type("credentials", credentials, KeyRef | None)
        require(credentials is None or needed, "credentials", credentials, "leave it out: no login asks for them")
        elsewhere = workload.metadata.namespace if self.storage.namespace is None else None
        remedy = f"give the chart of the server a namespace: {self.host} is a name in its own namespace only"
        require(elsewhere is None, "namespace", elsewhere, remedy)

    def _check_without_login(self, options: TrackingOptions) -> None:
        if options.without_login:
            remedy = "leave it out: there is no login"
            require(self.login, "without_login", True, remedy)
            remedy = f"leave it out: a {self._plan.options.service.type} would let everybody record"
            require(not self._plan.options.service.exposed, "without_login", True, remedy)

    def _make_deployment(self) -> kplus.Deployment:
        options = self._plan.options
        deployment = kplus.Deployment(
            self,
            "Deployment",
            metadata=self._metadata(self._plan.deployment, options.annotations),
            pod_metadata=self._metadata(None),
            replicas=0 if options.suspend else 1,
            # a rolling update would start a second server on the store before it stops the first
            strategy=kplus.DeploymentStrategy.recreate(),
            progress_deadline=PROGRESS_DEADLINE,
            termination_grace_period=GRACE_PERIOD,
            select=False,
            security_context=pod_security_context(self.storage.owner),
        )
        deployment.select(kplus.LabelSelector.of(labels=self._selector))
        # cdk8s-plus finds a workload's pods by this label, with a hash of the construct path in it: keep it working in
        # users' charts, but with a value that does not change when a construct moves
        deployment.pod_metadata.add_label(ADDRESS_LABEL, f"aim.{self.name}")
        return deployment

    @property
    def _selector(self) -> dict[str, str]:
        return common_labels(self.name, SERVER)

    def _metadata(self, name: str | None, annotations: Mapping[str, str] | None = None) -> cdk8s.ApiObjectMetadata:
        labels = {**self._plan.options.labels, **self._selector}
        return cdk8s.ApiObjectMetadata(name=name, labels=labels, annotations=dict(annotations or {}) or None)

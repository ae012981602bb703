"""`AimServer`: the Aim web server, with its Deployment, Service and NetworkPolicy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cdk8s
from constructs import Construct

from constructs_lib.access.exposure import Exposure
from constructs_lib.access.network import NetworkRules, default_peers
from constructs_lib.access.peers import check_ports
from constructs_lib.errors import OptionError, below, reported_by, require
from constructs_lib.kubernetes.names import check_instance_name
from constructs_lib.labels import SERVER, common_labels
from constructs_lib.plus import kplus
from constructs_lib.pods.aim_containers import AimContainers, Role
from constructs_lib.pods.image import DEFAULT_IMAGE_OPTIONS, ImageOptions
from constructs_lib.pods.json_patches import PodOrWorkload
from constructs_lib.pods.pod import AimPod, add_variable
from constructs_lib.pods.security import pod_security_context
from constructs_lib.pods.supervisor_configmap import Supervisor, config_map_name
from constructs_lib.recording.variable import check_unset, set_repository
from constructs_lib.registry import Entry, check_free, take
from constructs_lib.server.front import Front
from constructs_lib.server.metrics import METRICS, admit_metrics, make_pod_monitor
from constructs_lib.server.options import DEFAULT_SERVER, DEFAULT_TRACKING, ServerOptions, TrackingOptions
from constructs_lib.server.tracking import AimTracking, Neighbour
from constructs_lib.storage.storage import AimStorage

PORT = 43800
"""Port of Aim's web server in the pod."""

HEALTH_PORT = 43801
"""Port on which the supervisor answers the kubelet."""

GRACE_PERIOD = cdk8s.Duration.seconds(60)
"""From SIGTERM to SIGKILL: the supervisor gives running queries 30 s, and ends within 45 s whatever happens."""

PROGRESS_DEADLINE = cdk8s.Duration.minutes(20)
"""Until Kubernetes calls a roll-out stuck: longer than a start may take."""

_AMD64 = {"kubernetes.io/arch": "amd64"}

_ONE_SERVER = "it is already served by {owner}; one store has one server"


class AimServer(Construct):
    """One Aim server on one storage: a Deployment, a Service, and a NetworkPolicy that closes both ways.

    There is one pod and no `replicas`: Aim's store has one indexer, and a second one kills it or corrupts the index.

    Aim has no login: the policy admits the pods of the same namespace only, until `allow_from` admits more. Aim itself
    calls nobody, and the node mounts the volume: the pod reaches nothing until `allow_to` names it.

    Attributes:
        name: name of the instance.
        storage: where its runs are.
        deployment: the Deployment; for what has no option here (affinity, further volumes) use its own methods.
        pod: adds containers to it, and changes them.
        service: the Service.
        network_policy: the NetworkPolicy.
        supervisor: how the supervisor comes into the pod.
        scratch: the pod's volume for temporary files, mounted at `/tmp`.
        front: the container and port that clients reach.
        host: name of the Service within the cluster, such as `aim.ml.svc`.
        url: where the server is reached within the cluster, such as `http://aim.ml.svc/`.
        exposure: the ways by which it is reached from outside the cluster.
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
    front: Front
    host: str
    url: str
    exposure: Exposure
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
            options: everything else.

        Raises:
            OptionError: an option that cannot work, a storage of another namespace, or one that has a server already.
        """
        with reported_by(scope, id):
            plan = _plan(cdk8s.Chart.of(scope), storage, storage.name if name is None else name, image, options)
            check_free(scope, plan.entries)
        super().__init__(scope, id)
        take(self, plan.entries)
        self.name, self.storage, self._plan = plan.name, storage, plan
        storage.server_name = plan.name
        # before the Deployment: kubectl applies in the order of the file
        metadata = self._metadata(plan.config_map)
        self.supervisor = Supervisor(self, "Supervisor", source=options.supervisor, metadata=metadata)
        self._make_pod()
        self._make_access()
        self.tracking = None

    def add_tracking(self, options: TrackingOptions = DEFAULT_TRACKING) -> AimTracking:
        """Add Aim's tracking server, which records runs over the network; returns it, and it is `tracking` from now on.

        For training in other namespaces, and over storage that only the server can mount: ReadWriteOnce block volumes.

        Args:
            options: port, path and resources.

        Raises:
            OptionError: an option that cannot work, or a second call.
        """
        with reported_by(self), below("tracking"):
            existing = self.tracking and self.tracking.url
            require(not existing, "url", existing, "call add_tracking() once: it is server.tracking from then on")
            options.check()
            taken = {each.port for each in self.service.ports}
            require(options.port not in taken, "port", options.port, "write another one: it is the web server's")
        neighbour = Neighbour(
            containers=self._containers,
            front=self.front,
            service=self.service,
            rules=self._rules,
            host=self.host,
            exposed=self._plan.options.service.exposed,
        )
        self.tracking = AimTracking(self, "Tracking", beside=neighbour, options=options)
        return self.tracking

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

    def connect(self, workload: PodOrWorkload) -> None:
        """Let the containers of a workload record over the network: `aim.Run(repo=os.environ["AIM_REPO"])`.

        A workload of another namespace must be admitted too, by `tracking.allow_from`.

        Raises:
            OptionError: there is no tracking server, or a container has that variable already.
        """
        url = self.tracking_url
        with reported_by(workload):
            require(workload.containers, "containers", [], "add the containers first: those that it has can record")
            for container in workload.containers:
                check_unset(container)
        for container in workload.containers:
            set_repository(container, url)

    def allow_from(self, *peers: kplus.INetworkPolicyPeer) -> kplus.NetworkPolicy:
        """Let more open it than the pods of the same namespace; returns the policy.

        Args:
            peers: pods (`kplus.Pods.select`, any workload), namespaces (`kplus.Namespaces.select`) or addresses
                (`kplus.NetworkPolicyIpBlock.ipv4`).
        """
        self._rules.allow_from(self.front.port, peers)
        return self.network_policy

    def allow_to(self, *peers: kplus.INetworkPolicyPeer, ports: Sequence[int] = (443,)) -> kplus.NetworkPolicy:
        """Let the pod reach something, such as the S3 store of artifacts, and the cluster's DNS; returns the policy.

        Args:
            peers: pods (`kplus.Pods.select`, any workload), namespaces (`kplus.Namespaces.select`) or addresses
                (`kplus.NetworkPolicyIpBlock.ipv4`).
            ports: TCP ports of theirs, 1 to 65535; of pods, those that they listen on. Default: 443.

        Raises:
            OptionError: no port, or one that cannot be.
        """
        with reported_by(self):
            check_ports("ports", ports)
        self._rules.allow_to(peers, ports)
        return self.network_policy

    def _make_pod(self) -> None:
        options = self._plan.options
        self.deployment = self._make_deployment()
        self.pod = AimPod(self.deployment, options=self._plan.options)
        self._containers = AimContainers(
            self, pod=self.pod, image=self._plan.image, supervisor=self.supervisor, store=self.storage
        )
        self.scratch = self._containers.scratch
        container = self._containers.add(self._plan.role, options.resources)
        for variable in options.env:
            add_variable(self.deployment, container, variable)
        self.front = Front(container=container, name=self._plan.role.port_name, port=self._plan.role.port)

    def _make_access(self) -> None:
        plan, service = self._plan, self._plan.options.service
        self.service = service.render(
            self,
            "Service",
            metadata=self._metadata(plan.service, service.annotations),
            selector=self._selector,
            front=self.front,
        )
        self.host = f"{plan.service}.{self.storage.namespace}.svc" if self.storage.namespace else plan.service
        self.url = f"http://{self.host}{'' if service.port == 80 else f':{service.port}'}{plan.options.base_path}/"
        pods = kplus.Pods.select(self, "Pods", labels=self._selector)
        self._rules = NetworkRules(self, "Access", pods=pods, metadata=self._metadata(plan.deployment))
        self.network_policy = self._rules.policy
        self.exposure = Exposure(construct=self.node.path, allow_anonymous=plan.options.allow_anonymous)
        self.exposure.watch(self)
        if service.exposed:
            self.exposure.ways.append(("service.type", service.type))
        self.allow_from(*default_peers(self, exposed=service.exposed))
        if plan.options.metrics:
            metadata = self._metadata(plan.deployment)
            admit_metrics(self, options=plan.options.metrics, rules=self._rules, port=HEALTH_PORT)
            make_pod_monitor(self, options=plan.options.metrics, metadata=metadata, selector=self._selector)

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
        deployment.pod_metadata.add_label(kplus.Pod.ADDRESS_LABEL, f"aim.{self.name}")
        return deployment

    @property
    def _selector(self) -> dict[str, str]:
        return common_labels(self.name, SERVER)

    def _metadata(self, name: str | None, annotations: Mapping[str, str] | None = None) -> cdk8s.ApiObjectMetadata:
        labels = {**self._plan.options.labels, **self._selector}
        return cdk8s.ApiObjectMetadata(name=name, labels=labels, annotations=dict(annotations or {}) or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The options of a server, resolved."""

    name: str
    image: ImageOptions
    options: ServerOptions
    deployment: str
    service: str
    config_map: str
    role: Role
    entries: tuple[Entry, ...]


def _plan(chart: cdk8s.Chart, storage: AimStorage, name: str, image: ImageOptions, options: ServerOptions) -> _Plan:
    """Check the options against the storage and the chart, and resolve them."""
    remedy = f"put both in one namespace: a claim is mounted in its own only, here {storage.namespace!r}"
    require(chart.namespace == storage.namespace, "storage", chart.namespace, remedy)
    check_instance_name("name", name)
    image.check()
    options.check()
    if options.node_selector is None:
        options = replace(options, node_selector=_AMD64)
    deployment, service = options.deployment_name or name, options.service.name or name
    config_map = config_map_name(options.supervisor_name or f"{name}-supervisor")
    return _Plan(
        name=name,
        image=image,
        options=options,
        deployment=deployment,
        service=service,
        config_map=config_map,
        role=_role(options, _service_hosts(service, storage.namespace)),
        entries=tuple(_entries(storage, name, deployment, service, config_map)),
    )


def _service_hosts(service: str, namespace: str | None) -> list[str]:
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
    )


def _entries(storage: AimStorage, name: str, deployment: str, service: str, config_map: str) -> list[Entry]:
    """What a server makes and uses up; two of one name would take each other's pods for their own."""
    place, claim = storage.place, storage.claim_name
    stores = [Entry(kind="PersistentVolumeClaim", place=place, name=claim, option="storage", taken=_ONE_SERVER)]
    if storage.source.identity:
        stores.append(Entry(kind="", name=storage.source.identity, option="storage", taken=_ONE_SERVER))
    return [
        *(replace(store, use="serving") for store in stores),
        Entry(kind="server", place=place, name=name, option="name"),
        Entry(kind="Deployment", place=place, name=deployment, option="deployment_name"),
        Entry(kind="Service", place=place, name=service, option="service.name"),
        Entry(kind="ConfigMap", place=place, name=config_map, option="supervisor_name"),
    ]

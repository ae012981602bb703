"""`AimServer`: what people open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cdk8s
from constructs import Construct

from constructs_lib.admission import admit, default_peers, let_out, let_resolve
from constructs_lib.carrier import Supervisor, SupervisorSource, carrier_name
from constructs_lib.errors import OptionError, below, check_list, check_whole, reported_by, require
from constructs_lib.hardening import harden, pod_security_context
from constructs_lib.labels import SERVER, check_extra_labels, common_labels
from constructs_lib.names import check_annotations, check_deployment_name, check_labels, check_object_name
from constructs_lib.ownership import Ownership
from constructs_lib.plus import k8s, kplus
from constructs_lib.pods import add_to_pod, leave_out_of_pod
from constructs_lib.process import GRACE_PERIOD, PORT, PROGRESS_DEADLINE, REPOSITORY, SCRATCH, AimProcess, scratch
from constructs_lib.recording import name_repository
from constructs_lib.resources import Resources
from constructs_lib.retention import check_same_wave
from constructs_lib.service import ServiceOptions
from constructs_lib.storage import AimStorage
from constructs_lib.tracking import DEFAULT_TRACKING_RESOURCES, TRACKING_PORT, AimTracking, check_tracking

DEFAULT_IMAGE = "docker.io/aimstack/aim:3.29.1"
"""The last image that Aim's makers published."""

DEFAULT_RESOURCES = Resources(
    requests={"cpu": "100m", "memory": "1Gi"},
    limits={"cpu": "1", "memory": "2Gi"},
)
"""Those of Aim's own guide; measured to be right up to some 2,000 runs."""

DEFAULT_SERVICE = ServiceOptions()

_AMD64 = {"kubernetes.io/arch": "amd64"}


class AimServer(Construct):
    """One Aim server on one storage: a Deployment, a Service, and a NetworkPolicy that closes both ways.

    There is one pod and no `replicas`: Aim's store has one indexer, and a second one kills it or corrupts the index.

    Aim has no login, and faults that will not be fixed (remote code execution by query among them): the policy admits
    the pods of the same namespace only, until `allow_from` admits more. Aim itself calls nobody, and the node mounts
    the volume: the pod reaches nothing until `allow_to` names it.

    Attributes:
        name: name of the instance.
        storage: where its runs are.
        deployment: the Deployment; for what has no option here (affinity, further volumes) use its own methods.
        service: the Service.
        network_policy: the NetworkPolicy.
        supervisor: what carries the supervisor into the pod.
        scratch: the pod's volume for temporary files, mounted at `/tmp`.
        host: name of the Service within the cluster, such as `aim.ml.svc`.
        url: where the server is reached within the cluster, such as `http://aim.ml.svc/`.
        exposed: whether the Service can be reached from outside the cluster.
        tracking: what records runs over the network; None until `add_tracking`.
    """

    name: str
    storage: AimStorage
    deployment: kplus.Deployment
    service: kplus.Service
    network_policy: kplus.NetworkPolicy
    supervisor: Supervisor
    scratch: kplus.Volume
    host: str
    url: str
    exposed: bool
    tracking: AimTracking | None

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        storage: AimStorage,
        image: str = DEFAULT_IMAGE,
        image_pull_policy: kplus.ImagePullPolicy = kplus.ImagePullPolicy.IF_NOT_PRESENT,
        image_pull_secrets: Sequence[str] = (),
        workers: int = 2,
        base_path: str = "",
        allowed_hosts: Sequence[str] = (),
        suspend: bool = False,
        service: ServiceOptions = DEFAULT_SERVICE,
        resources: Resources = DEFAULT_RESOURCES,
        node_selector: Mapping[str, str] | None = None,
        priority_class_name: str | None = None,
        allow_anonymous: bool = False,
        deployment_name: str | None = None,
        supervisor: SupervisorSource = SupervisorSource.CONFIG_MAP,
        supervisor_name: str | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        pod_annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Make the server.

        Args:
            scope: a chart in the namespace of the storage, or a construct in one.
            id: of this construct; no name in the cluster comes from it.
            storage: where the runs are. One store has one server.
            image: any image that has `aim` and `python3` on its PATH, of Aim 3.29 and Python 3.9 or later.
                Default: `docker.io/aimstack/aim:3.29.1`.
            image_pull_policy: Default: IfNotPresent.
            image_pull_secrets: names of Secrets in the namespace, for a private registry. Default: none.
            workers: processes that answer requests, 1 to 64. Default: 2, so that one answers while another searches.
            base_path: what every URL starts with, such as `/aim`; a proxy in front must not strip it. Default: nothing.
            allowed_hosts: host names that it answers to, against DNS rebinding: `aim.example.com`, or `*.example.com`
                for one label. It always answers to localhost, IP addresses and the names of its Service. Default: any.
            suspend: no pod at all, for a restore or maintenance. Default: False.
            service: how it is reached. Default: a ClusterIP Service on port 80.
            resources: requests and limits. Default: those of Aim's guide, 1Gi to 2Gi of memory, 100m to 1 CPU. Where
                they say nothing of ephemeral-storage, 100Mi to 1Gi are added: the server has a /tmp of its own.
            node_selector: labels of the nodes to run on. Default: `kubernetes.io/arch: amd64`, as Aim publishes no
                other Linux wheel; replace it where the image was built for another architecture.
            priority_class_name: Default: the cluster's.
            allow_anonymous: required to be True for a NodePort or LoadBalancer, which anyone who reaches it can use:
                Aim has no login. The NetworkPolicy then admits every address. Default: False.
            deployment_name: of the Deployment and the NetworkPolicy, at most 242 characters. Default: the instance's
                name.
            supervisor: where the pod has the supervisor from. Default: a ConfigMap, so that any image will do.
            supervisor_name: beginning of the name of the supervisor's ConfigMap, before a hash of its content. Default:
                `<name>-supervisor`.
            labels: further labels of every object and of the pod. Default: none.
            annotations: of the Deployment, but no sync wave or hook. Default: none.
            pod_annotations: of the pod. Default: none.

        Raises:
            OptionError: an option that cannot work, a storage of another namespace, or one that has a server already.
        """
        self.name = storage.name
        self.storage = storage
        self._deployment_name = self.name if deployment_name is None else deployment_name
        self._source = supervisor
        self._carrier = carrier_name(f"{self.name}-supervisor" if supervisor_name is None else supervisor_name)
        self._service_name = self.name if service.name is None else service.name
        self._labels = dict(labels or {})
        self._pod = _Pod(
            image_pull_secrets=image_pull_secrets,
            node_selector=_AMD64 if node_selector is None else node_selector,
            priority_class_name=priority_class_name,
            resources=resources,
            annotations=pod_annotations or {},
        )
        process = AimProcess(
            image=image,
            image_pull_policy=image_pull_policy,
            workers=workers,
            base_path=base_path,
            allowed_hosts=allowed_hosts,
            service_hosts=self._service_hosts,
        )
        with reported_by(scope, id):
            self._check_place(scope)
            self._check_names()
            self._check_carrier(supervisor_name)
            process.check()
            self._pod.check()
            check_annotations("annotations", annotations or {})
            check_same_wave("annotations", annotations or {})
            _check_service(service, allow_anonymous=allow_anonymous)
            ownership, things = Ownership.of(scope), self._things()
            ownership.check(things)
        super().__init__(scope, id)
        ownership.take(things, self)
        # before the Deployment: kubectl applies in the order of the file
        self.supervisor = Supervisor(self, "Supervisor", source=supervisor, metadata=self._metadata(self._carrier))
        self.deployment = self._make_deployment(annotations or {}, suspend=suspend)
        container = process.add_to(self.deployment, self.supervisor)
        container.mount(REPOSITORY, storage)
        self.supervisor.mount_in(container)
        self.scratch = scratch(self)
        container.mount(SCRATCH, self.scratch)
        self._pod.complete(self.deployment)
        self.service = self._make_service(service)
        self.host = f"{self._service_name}.{storage.namespace}.svc" if storage.namespace else self._service_name
        self.url = f"http://{self.host}{'' if service.port == 80 else f':{service.port}'}{base_path}/"
        self.network_policy = self._make_network_policy()
        self.exposed = service.exposed
        self.allow_from(*default_peers(self, exposed=self.exposed))
        self.tracking = None
        self._resolves = False

    def add_tracking(
        self, *, port: int = TRACKING_PORT, base_path: str = "", resources: Resources = DEFAULT_TRACKING_RESOURCES
    ) -> AimTracking:
        """Add Aim's tracking server, which records runs over the network; returns it, and it is `tracking` from now on.

        For training in other namespaces, and over storage that only the server can mount: ReadWriteOnce block volumes.

        Args:
            port: of the Service, 1 to 65535, another one than the web server's. Default: 53800.
            base_path: what every URL starts with, such as `/track`; a proxy in front must not strip it. Default:
                nothing.
            resources: requests and limits of its container. Default: 256Mi to 1Gi of memory, 100m to 1 CPU.

        Raises:
            OptionError: an option that cannot work, or a second call.
        """
        with reported_by(self), below("tracking"):
            check_tracking(self, port=port, base_path=base_path, resources=resources)
        self.tracking = AimTracking(self, port=port, base_path=base_path, resources=resources)
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

    def connect(self, container: kplus.Container) -> None:
        """Let a container record over the network: sets `AIM_REPO`, for `aim.Run(repo=os.environ["AIM_REPO"])`.

        A container of another namespace must be admitted too, by `tracking.allow_from`.

        Raises:
            OptionError: there is no tracking server, or the container has that variable already.
        """
        url = self.tracking_url
        with reported_by(self):
            name_repository(container, url)

    def allow_from(self, *peers: kplus.INetworkPolicyPeer) -> kplus.NetworkPolicy:
        """Let more open it than the pods of the same namespace; returns the policy.

        Args:
            peers: pods (`kplus.Pods.select`, any workload), namespaces (`kplus.Namespaces.select`) or addresses
                (`kplus.NetworkPolicyIpBlock.ipv4`).
        """
        admit(self.network_policy, PORT, *peers)
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
            require(ports, "ports", ports, "write at least one, such as 443")
            for index, port in enumerate(ports):
                check_whole(f"ports[{index}]", port, low=1, high=65535)
        let_out(self.network_policy, ports, *peers)
        if peers and not self._resolves:
            let_resolve(self, self.network_policy)
            self._resolves = True
        return self.network_policy

    @property
    def _selector(self) -> dict[str, str]:
        return common_labels(self.name, SERVER)

    @property
    def _service_hosts(self) -> list[str]:
        """Names by which pods reach the Service, with the domain that most clusters have."""
        name, namespace = self._service_name, self.storage.namespace
        longer = (f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local")
        return [name, *(longer if namespace else ())]

    def _check_place(self, scope: Construct) -> None:
        namespace = cdk8s.Chart.of(scope).namespace
        remedy = f"put both in one namespace: a claim is mounted in its own only, here {self.storage.namespace!r}"
        require(namespace == self.storage.namespace, "storage", namespace, remedy)

    def _check_names(self) -> None:
        check_deployment_name("deployment_name", self._deployment_name)
        check_extra_labels(self._labels)

    def _check_carrier(self, given: str | None) -> None:
        source = self._source
        require(isinstance(source, SupervisorSource), "supervisor", source, "write a SupervisorSource")
        remedy = "leave it out: the image brings the supervisor, and no ConfigMap is made"
        require(given is None or source is SupervisorSource.CONFIG_MAP, "supervisor_name", given, remedy)
        check_object_name("supervisor_name", self._carrier)

    def _things(self) -> dict[str, str]:
        """What this makes and uses up; two servers of one name would take each other's pods for their own."""
        place = self.storage.place
        carrier = {f"ConfigMap {self._carrier} in {place}": "supervisor_name"}
        return {
            **{f"serving {store}": "storage" for store in self.storage.stores},
            f"the name {self.name} for a server in {place}": "name",
            f"Deployment {self._deployment_name} in {place}": "deployment_name",
            f"Service {self._service_name} in {place}": "service.name",
            **(carrier if self._source is SupervisorSource.CONFIG_MAP else {}),
        }

    def _make_deployment(self, annotations: Mapping[str, str], *, suspend: bool) -> kplus.Deployment:
        deployment = kplus.Deployment(
            self,
            "Deployment",
            metadata=self._metadata(self._deployment_name, annotations),
            pod_metadata=self._metadata(None, self._pod.annotations),
            replicas=0 if suspend else 1,
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

    def _make_service(self, options: ServiceOptions) -> kplus.Service:
        service = options.render(self, "Service", metadata=self._metadata(self._service_name, options.annotations))
        for key, value in self._selector.items():
            service.select_label(key, value)
        return service

    def _make_network_policy(self) -> kplus.NetworkPolicy:
        pods = kplus.Pods.select(self, "Pods", labels=self._selector)
        metadata = self._metadata(self._deployment_name)
        closed = kplus.NetworkPolicyTraffic(default=kplus.NetworkPolicyTrafficDefault.DENY)
        return kplus.NetworkPolicy(
            self, "NetworkPolicy", metadata=metadata, selector=pods, ingress=closed, egress=closed
        )

    def _metadata(self, name: str | None, annotations: Mapping[str, str] | None = None) -> cdk8s.ApiObjectMetadata:
        labels = {**self._labels, **self._selector}
        return cdk8s.ApiObjectMetadata(name=name, labels=labels, annotations=dict(annotations or {}) or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pod:
    """What of a pod cdk8s-plus-27 has no words for."""

    image_pull_secrets: Sequence[str]
    node_selector: Mapping[str, str]
    priority_class_name: str | None
    resources: Resources
    annotations: Mapping[str, str]

    def check(self) -> None:
        check_list("image_pull_secrets", self.image_pull_secrets)
        for secret in self.image_pull_secrets:
            check_object_name("image_pull_secrets", secret)
        check_labels("node_selector", self.node_selector)
        if self.priority_class_name is not None:
            check_object_name("priority_class_name", self.priority_class_name)
        self.resources.check()
        check_annotations("pod_annotations", self.annotations)

    def complete(self, deployment: kplus.Deployment) -> None:
        """Add it to a Deployment with one container, and take away what `kubectl apply` would report for ever."""
        harden(deployment)
        fields: dict[str, object] = {
            "containers/0/resources": self.resources.with_scratch().render(),
            "nodeSelector": dict(self.node_selector),
            "priorityClassName": self.priority_class_name,
            "imagePullSecrets": [k8s.LocalObjectReference(name=name) for name in self.image_pull_secrets],
        }
        add_to_pod(deployment, {field: value for field, value in fields.items() if value})
        leave_out_of_pod(deployment, "volumes/0/persistentVolumeClaim/readOnly")


def _check_service(service: ServiceOptions, *, allow_anonymous: bool) -> None:
    service.check()
    remedy = (
        "write ClusterIP; or allowAnonymous (allow_anonymous) true: Aim has no login, whoever reaches it may use it"
    )
    require(allow_anonymous or not service.exposed, "service.type", service.type_name, remedy)

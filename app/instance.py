"""The instance file: what a site changes without touching Python.

This is the file's shape: keys, types, what is required. What the values mean, and which cannot work, is the
constructs' business. The docstrings below are what an editor shows, through `instances/schema.json`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel
from typing_extensions import Self


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Quantity = Annotated[
    str, BeforeValidator(_number_as_text), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}]})
]
"""A Kubernetes quantity: YAML reads `cpu: 1` as a number."""

Port = Annotated[int, Field(ge=1, le=65535)]
Id = Annotated[int, Field(ge=1, le=2**31 - 1)]


class StrictModel(BaseModel):
    """Known keys only, spelled as Kubernetes spells them."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )

    bare: ClassVar[tuple[str, ...]] = ()
    """Keys that say all by being there."""

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty_keys(cls, value: object) -> object:
        """A key with nothing after it, as when all below it is commented out, means its default."""
        if not isinstance(value, dict):
            return value
        filled = {key: {} if each is None and key in cls.bare else each for key, each in value.items()}
        return {key: each for key, each in filled.items() if each is not None}


class OneOf(StrictModel):
    """A model of which exactly one of some keys must be written."""

    one_of: ClassVar[tuple[str, ...]]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        cls.model_config["json_schema_extra"] = {"oneOf": [{"required": [key]} for key in cls.one_of]}

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        written = [to_camel(field) for field in self.model_fields_set if to_camel(field) in self.one_of]
        if len(written) != 1:
            keys = ", ".join(self.one_of)
            raise ValueError(f"write exactly one of {keys}; this has {' and '.join(sorted(written)) or 'none'}")
        return self


class Owner(StrictModel):
    """Whom every writer runs as. On NFS and host paths the exported directory must belong to it."""

    uid: Id = 10001
    """User id, not 0. Default: 10001."""
    gid: Id = 10001
    """Group id, not 0. Default: 10001."""


class Nfs(StrictModel):
    """A directory that an NFS server exports."""

    server: str
    """Host name or IP address of the NFS server, as the nodes resolve it."""
    path: str
    """Absolute path of the exported directory."""
    mount_options: list[str] = []
    """Passed to `mount`, such as nfsvers=4.1; not `ro`, `nolock` or `local_lock`. Default: none, node and server agree
    on the version."""


class SecretRef(StrictModel):
    """A Secret and its namespace."""

    name: str
    """Name of the Secret."""
    namespace: str
    """Namespace of the Secret."""


class Csi(StrictModel):
    """A volume that a CSI driver knows by a handle."""

    driver: str
    """Name of the CSI driver; none for SMB or for an object store over FUSE, which have no locks."""
    volume_handle: str
    """What the driver calls the volume."""
    volume_attributes: dict[str, str] = {}
    """Further attributes the driver wants. Default: none."""
    fs_type: str | None = None
    """File system to mount. Default: the driver's."""
    node_stage_secret_ref: SecretRef | None = None
    """Secret the driver needs to mount the volume. Default: none."""
    mount_options: list[str] = []
    """Passed to the driver. Default: none."""


class HostPath(StrictModel):
    """A directory of the node, which must exist; for trials on a single node."""

    path: str
    """Absolute path on the node, not `/`."""
    node: str
    """The node that the directory is on: value of its label `kubernetes.io/hostname`, on most clusters its name. The
    scheduler sends the server there: a directory of the same path on another node is another, empty store."""


class Dynamic(StrictModel):
    """A volume that the cluster makes. `{}` is all there is to write."""


class ExistingClaim(StrictModel):
    """A PersistentVolumeClaim that exists in the instance's namespace."""

    name: str
    """Name of the claim."""


class Storage(OneOf):
    """Where the runs live. Write exactly one of nfs, csi, hostPath, dynamic and existingClaim."""

    one_of = ("nfs", "csi", "hostPath", "dynamic", "existingClaim")
    bare = ("dynamic",)

    size: Quantity | None = None
    """Any Kubernetes quantity. Real, and able to grow, for `dynamic`; nominal and fixed for the others."""
    nfs: Nfs | None = None
    """A directory that an NFS server exports."""
    csi: Csi | None = None
    """A volume that a CSI driver knows by a handle."""
    host_path: HostPath | None = None
    """A directory of the node, for trials on a single node."""
    dynamic: Dynamic | None = None
    """A volume that the cluster makes: `dynamic: {}`."""
    existing_claim: ExistingClaim | None = None
    """A PersistentVolumeClaim that exists in the instance's namespace."""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"] | None = None
    """Default: ReadWriteMany for nfs and csi, else ReadWriteOnce; required for existingClaim."""
    storage_class_name: str | None = None
    """Default: the cluster's default class for `dynamic`, none for the others."""
    owner: Owner | Literal["ClusterAssigned"] = Owner()
    """Whom every writer runs as: uid and gid, or `ClusterAssigned` (OpenShift). Default: uid and gid 10001."""
    claim_name: str | None = None
    """Name of the PersistentVolumeClaim. Default: `<name>-runs`."""
    volume_name: str | None = None
    """Name of the PersistentVolume. Default: `<namespace>.<name>-runs`."""
    labels: dict[str, str] = {}
    """Further labels of volume and claim. Default: none."""
    annotations: dict[str, str] = {}
    """Further annotations of volume and claim, but none of Argo CD, Flux or Helm. Default: none."""


class Service(StrictModel):
    """How the server is reached."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Anything but ClusterIP needs `allowAnonymous: true`. Default: ClusterIP."""
    port: Port = 80
    """Default: 80."""
    name: str | None = None
    """Name of the Service. Default: the instance's name."""
    node_port: Port | None = None
    """For NodePort and LoadBalancer. Default: the cluster chooses."""
    load_balancer_source_ranges: list[str] = []
    """CIDRs that a LoadBalancer admits. Default: all."""
    load_balancer_class: str | None = None
    """Which implementation serves a LoadBalancer. Default: the cluster's."""
    annotations: dict[str, str] = {}
    """Annotations of the Service, for the load balancer's controller. Default: none."""


class Resources(StrictModel):
    """Requests and limits by resource name."""

    requests: dict[str, Quantity] = {}
    """What the scheduler sets aside. Default: none."""
    limits: dict[str, Quantity] = {}
    """What the server may use at most, none below its request. Default: none."""


class Toleration(StrictModel):
    """A taint of nodes that the server may run on all the same."""

    key: str | None = None
    """Key of the taint. Default: every taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Exists needs no value. Default: Equal."""
    value: str | None = None
    """Value of the taint, for Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Default: every effect."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """For NoExecute: how long to stay. Default: for ever."""


class KeyRef(StrictModel):
    """A key of a Secret or ConfigMap in the instance's namespace."""

    name: str
    """Name of the Secret or ConfigMap."""
    key: str
    """The key."""


class ValueFrom(OneOf):
    """Where the value of a variable comes from. Write exactly one of secretKeyRef and configMapKeyRef."""

    one_of = ("secretKeyRef", "configMapKeyRef")

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""


class Variable(OneOf):
    """An environment variable. Write exactly one of value and valueFrom."""

    one_of = ("value", "valueFrom")

    name: str
    """Name of the variable."""
    value: str | None = None
    """Its value."""
    value_from: ValueFrom | None = None
    """Where its value comes from."""


class Selector(StrictModel):
    """Labels that pods or namespaces have."""

    match_labels: dict[str, str] = {}
    """Default: all."""


class IpBlock(StrictModel):
    """Addresses."""

    cidr: str
    """Such as 10.0.0.0/8."""
    except_: Annotated[list[str], Field(alias="except")] = []
    """Networks within it to leave out. Default: none."""


class Peer(OneOf):
    """Who may come in. Write exactly one of namespaceSelector, which a podSelector may narrow, and ipBlock."""

    one_of = ("namespaceSelector", "ipBlock")

    namespace_selector: Selector | None = None
    """Namespaces, by their labels: all their pods, unless `podSelector` says less."""
    pod_selector: Selector | None = None
    """Pods of those namespaces, by their labels. Default: all. The instance's own namespace may come in already."""
    ip_block: IpBlock | None = None
    """Addresses outside the cluster."""


class Destination(Peer):
    """What the pod may reach. Write exactly one of namespaceSelector, which a podSelector may narrow, and ipBlock."""

    pod_selector: Selector | None = None
    """Pods of those namespaces, by their labels. Default: all."""
    ip_block: IpBlock | None = None
    """Addresses, in the cluster or outside of it."""
    ports: Annotated[list[Port], Field(min_length=1)] = [443]
    """TCP ports; of pods, those that they listen on. Default: 443."""


class Tracking(StrictModel):
    """Aim's tracking server, which records runs over the network. `{}` is all there is to write."""

    port: Port = 53800
    """Of the Service. Default: 53800."""
    base_path: str = ""
    """What every URL starts with, such as /track; a proxy in front must not strip it. Default: nothing."""
    resources: Resources | None = None
    """Requests and limits of its container. Default: 256Mi to 1Gi of memory, 100m to 1 CPU; ephemeral-storage as
    beside it."""
    allow_from: list[Peer] = []
    """Who may record besides the pods of the same namespace. Default: nobody."""


class Server(StrictModel):
    """What people open."""

    bare = ("tracking",)

    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes that answer requests. Default: 2."""
    base_path: str = ""
    """What every URL starts with, such as /aim; a proxy in front must not strip it. Default: nothing."""
    allowed_hosts: list[str] = []
    """Host names that the server answers to, against DNS rebinding: aim.example.com, or `*.example.com` for one label.
    It always answers to localhost, IP addresses and the names of its Service. Default: any."""
    suspend: bool = False
    """No pod at all, for a restore or maintenance. Default: false."""
    service: Service = Service()
    """How it is reached."""
    resources: Resources | None = None
    """Requests and limits. Default: those of Aim's guide, 1Gi to 2Gi of memory, 100m to 1 CPU. Where they say nothing
    of ephemeral-storage, 100Mi to 1Gi are added: the server has a /tmp of its own."""
    node_selector: dict[str, str] | None = None
    """Default: `kubernetes.io/arch: amd64`, as Aim publishes no other Linux wheel."""
    tolerations: list[Toleration] = []
    """Default: none."""
    priority_class_name: str | None = None
    """Default: the cluster's."""
    env: list[Variable] = []
    """Further environment variables of the web server's container, at most 48 KiB. Default: none."""
    tracking: Tracking | None = None
    """Aim's tracking server beside it, which records runs over the network: `tracking: {}`. Default: none."""
    allow_from: list[Peer] = []
    """Who may open it besides the pods of the same namespace. Default: nobody."""
    allow_to: list[Destination] = []
    """What the pod may reach, such as the S3 store of artifacts; the cluster's DNS comes with it. Default: nothing."""
    allow_anonymous: bool = False
    """Required to be true for NodePort and LoadBalancer, which then admit every address: Aim has no login. A ClusterIP
    Service stays as it is. Default: false."""
    deployment_name: str | None = None
    """Name of the Deployment and the NetworkPolicy, at most 242 characters. Default: the instance's name."""
    supervisor: Literal["ConfigMap", "Image"] = "ConfigMap"
    """Where the pod has the supervisor from: a ConfigMap, so that any image will do; or the image, as the one of
    `make image` brings it, which refuses to start where it is of another version than the manifests. Default:
    ConfigMap."""
    supervisor_name: str | None = None
    """Beginning of the name of the ConfigMap that carries the supervisor; `-` and a hash of its content follow.
    Default: `<name>-supervisor`."""
    labels: dict[str, str] = {}
    """Further labels of every object and of the pod. Default: none."""
    annotations: dict[str, str] = {}
    """Annotations of the Deployment, at most 48 KiB, but no sync wave or hook. Default: none."""
    pod_annotations: dict[str, str] = {}
    """Annotations of the pod. Default: none."""


class Instance(StrictModel):
    """One Aim instance."""

    name: str | None = None
    """At most 40 lower-case letters, digits and '-', starting with a letter. Default: the file's name, so that renaming
    the file makes another instance."""
    namespace: str
    """The namespace of everything but the PersistentVolume."""
    cluster: str | None = None
    """Name of the cluster: the manifests go to `dist/<cluster>/`, and with Argo CD to the cluster that it knows by this
    name. Once one instance has it, all must. Default: none, for a repository of one cluster."""
    create_namespace: bool = False
    """Make the namespace too, with Pod Security "restricted". Of several files with one namespace, write it in the
    first by name, as kubectl applies them in that order. Default: false."""
    image: str | None = None
    """Any image that has `aim` and `python3` on its PATH, of Aim 3.29. Default: docker.io/aimstack/aim:3.29.1."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """Default: IfNotPresent."""
    image_pull_secrets: list[str] = []
    """Names of Secrets in the namespace, for a private registry. Default: none."""
    storage: Storage
    """Where the runs live."""
    server: Server = Server()
    """What people open."""

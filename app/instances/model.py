"""The shape of an instance file: the options of the library, and the few keys that only a file needs.

The library's dataclasses are the models: names, types, bounds, defaults and texts of their options stand there, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from constructs_lib import (
    BackupOptions,
    CsiVolume,
    Destination,
    DynamicVolume,
    ExistingClaim,
    HostPath,
    ImageOptions,
    IngressOptions,
    MaintenanceOptions,
    NfsExport,
    Peer,
    ResticRepository,
    RouteOptions,
    S3Bucket,
    ServerOptions,
    StorageOptions,
    TrackingOptions,
)

_BARE = {"bare": True}
"""Marks a key that says all by being there, such as `tracking:`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage(StorageOptions):
    """Where the runs live. Write exactly one of nfs, csi, hostPath, dynamic and existingClaim."""

    one_of: ClassVar = ("nfs", "csi", "host_path", "dynamic", "existing_claim")

    nfs: NfsExport | None = None
    """A directory that an NFS server exports."""
    csi: CsiVolume | None = None
    """A volume that a CSI driver knows by a handle."""
    host_path: HostPath | None = None
    """A directory of the node, for trials on a single node."""
    dynamic: DynamicVolume | None = field(default=None, metadata=_BARE)
    """A volume that the cluster makes: `dynamic: {}`."""
    existing_claim: ExistingClaim | None = None
    """A PersistentVolumeClaim that exists in the instance's namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking(TrackingOptions):
    """Aim's tracking server, which records runs over the network. `{}` is all there is to write."""

    allow_from: Sequence[Peer] = ()
    """Who may record besides the pods of the same namespace. Default: nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(ServerOptions):
    """The web server: what people open."""

    tracking: Tracking | None = field(default=None, metadata=_BARE)
    """Aim's tracking server beside it, which records runs over the network: `tracking: {}`. Default: none."""
    ingress: IngressOptions | None = None
    """An Ingress that leads a host name to it. Default: none."""
    route: RouteOptions | None = None
    """An HTTPRoute of the Gateway API that leads host names to it. Default: none."""
    allow_from: Sequence[Peer] = ()
    """Who may open it besides the pods of the same namespace. Default: nobody."""
    allow_to: Sequence[Destination] = ()
    """What the pod may reach, such as the S3 store of artifacts; the cluster's DNS comes with it. Default: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup(BackupOptions):
    """Copies of the runs, encrypted, on a schedule. Write exactly one of nfs, existingClaim, s3 and repository."""

    one_of: ClassVar = ("nfs", "existing_claim", "s3", "repository")

    nfs: NfsExport | None = None
    """A directory that an NFS server exports, other than that of the runs."""
    existing_claim: ExistingClaim | None = None
    """A PersistentVolumeClaim that exists in the instance's namespace."""
    s3: S3Bucket | None = None
    """A bucket of Amazon S3, or of anything that speaks its protocol."""
    repository: ResticRepository | None = None
    """Any repository of restic's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance(ImageOptions):
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
    storage: Storage
    """Where the runs live."""
    server: Server = Server()
    """The web server: what people open. Default: a ClusterIP Service for the pods of the namespace."""
    backup: Backup | None = None
    """Copies of the runs, on a schedule. Default: none."""
    maintenance: MaintenanceOptions | None = field(default=None, metadata=_BARE)
    """Chores on the runs, beside a server that goes on: `maintenance: {}`. Default: none."""

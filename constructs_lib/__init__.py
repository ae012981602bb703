"""Aim on Kubernetes, as cdk8s constructs.

`AimStorage` is where runs live, `AimServer` what people open, `AimTracking` records runs over the network, and
`AimNamespace` makes the namespace around them. `AimBackup` copies the runs, `AimRestore` brings them back, and
`AimMaintenance` does chores on them. `attach` and `AimServer.connect` let training pods record; `AimPod` makes a pod
that Pod Security "restricted" admits.
"""

import constructs_lib.nodejs  # noqa: F401  # before anything imports cdk8s
from constructs_lib.access.ingress import IngressOptions, IssuerRef
from constructs_lib.access.login import Login
from constructs_lib.access.login_options import DEFAULT_LOGIN_IMAGE, LoginOptions, OidcEndpoints, OidcOptions
from constructs_lib.access.peers import Destination, IpBlock, Peer, Selector
from constructs_lib.access.route import ParentRef, RouteOptions
from constructs_lib.backup.backup import AimBackup
from constructs_lib.backup.backup_options import BackupOptions, DrillOptions
from constructs_lib.backup.restic import Retention
from constructs_lib.backup.restore import AimRestore
from constructs_lib.backup.targets import BackupTarget, BackupVolume, ResticRepository, S3Bucket
from constructs_lib.errors import OptionError
from constructs_lib.maintenance.maintenance import AimMaintenance
from constructs_lib.maintenance.maintenance_options import (
    CloseChore,
    EmptyTrashChore,
    MaintenanceOptions,
    PruneChore,
    ReportChore,
)
from constructs_lib.pods.environment import EnvVar, KeyRef, ValueFrom
from constructs_lib.pods.image import DEFAULT_IMAGE, ImageOptions
from constructs_lib.pods.json_patches import PodOrWorkload
from constructs_lib.pods.owner import Owner
from constructs_lib.pods.pod import MOUNT_PATH, AimPod
from constructs_lib.pods.pod_options import PodOptions
from constructs_lib.pods.probes import Probes
from constructs_lib.pods.resources import Resources
from constructs_lib.pods.scheduling import HostAlias, Toleration
from constructs_lib.pods.security import harden, pod_security_context
from constructs_lib.pods.supervisor_configmap import Supervisor, SupervisorSource
from constructs_lib.recording.attach import attach
from constructs_lib.server.alerts import AlertOptions
from constructs_lib.server.dashboard import DashboardOptions
from constructs_lib.server.metrics import MetricsOptions
from constructs_lib.server.server import AimServer
from constructs_lib.server.server_options import (
    DEFAULT_RESOURCES,
    DEFAULT_TRACKING_RESOURCES,
    ServerOptions,
    TrackingOptions,
)
from constructs_lib.server.service import ServiceOptions
from constructs_lib.server.tracking import AimTracking
from constructs_lib.storage.namespace import AimNamespace
from constructs_lib.storage.sources import (
    AccessMode,
    CsiVolume,
    DynamicVolume,
    ExistingClaim,
    HostPath,
    NfsExport,
    SecretReference,
    StorageSource,
)
from constructs_lib.storage.storage import AimStorage
from constructs_lib.storage.storage_options import StorageOptions

__version__ = "0.2.0.dev0"
"""Version of the library; between releases, that of the next one with `.dev0`."""

__all__ = [
    "DEFAULT_IMAGE",
    "DEFAULT_LOGIN_IMAGE",
    "DEFAULT_RESOURCES",
    "DEFAULT_TRACKING_RESOURCES",
    "MOUNT_PATH",
    "AccessMode",
    "AimBackup",
    "AimMaintenance",
    "AimNamespace",
    "AimPod",
    "AimRestore",
    "AimServer",
    "AimStorage",
    "AimTracking",
    "AlertOptions",
    "BackupOptions",
    "BackupTarget",
    "BackupVolume",
    "CloseChore",
    "CsiVolume",
    "DashboardOptions",
    "Destination",
    "DrillOptions",
    "DynamicVolume",
    "EmptyTrashChore",
    "EnvVar",
    "ExistingClaim",
    "HostAlias",
    "HostPath",
    "ImageOptions",
    "IngressOptions",
    "IpBlock",
    "IssuerRef",
    "KeyRef",
    "Login",
    "LoginOptions",
    "MaintenanceOptions",
    "MetricsOptions",
    "NfsExport",
    "OidcEndpoints",
    "OidcOptions",
    "OptionError",
    "Owner",
    "ParentRef",
    "Peer",
    "PodOptions",
    "PodOrWorkload",
    "Probes",
    "PruneChore",
    "ReportChore",
    "Resources",
    "ResticRepository",
    "Retention",
    "RouteOptions",
    "S3Bucket",
    "SecretReference",
    "Selector",
    "ServerOptions",
    "ServiceOptions",
    "StorageOptions",
    "StorageSource",
    "Supervisor",
    "SupervisorSource",
    "Toleration",
    "TrackingOptions",
    "ValueFrom",
    "__version__",
    "attach",
    "harden",
    "pod_security_context",
]

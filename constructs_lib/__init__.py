"""Aim on Kubernetes, as cdk8s constructs.

`AimStorage` is where runs live, `AimServer` what people open, `AimTracking` what records over the network, and
`AimNamespace` the namespace around them.
"""

from constructs_lib.carrier import SupervisorSource
from constructs_lib.errors import OptionError
from constructs_lib.hardening import harden, pod_security_context
from constructs_lib.namespace import AimNamespace
from constructs_lib.process import REPOSITORY
from constructs_lib.resources import Resources
from constructs_lib.server import DEFAULT_IMAGE, DEFAULT_RESOURCES, AimServer
from constructs_lib.service import ServiceOptions
from constructs_lib.sources import (
    CsiVolume,
    DynamicVolume,
    ExistingClaim,
    HostPath,
    NfsExport,
    SecretReference,
    StorageSource,
)
from constructs_lib.storage import AimStorage, Owner
from constructs_lib.tracking import DEFAULT_TRACKING_RESOURCES, AimTracking

__all__ = [
    "DEFAULT_IMAGE",
    "DEFAULT_RESOURCES",
    "DEFAULT_TRACKING_RESOURCES",
    "REPOSITORY",
    "AimNamespace",
    "AimServer",
    "AimStorage",
    "AimTracking",
    "CsiVolume",
    "DynamicVolume",
    "ExistingClaim",
    "HostPath",
    "NfsExport",
    "OptionError",
    "Owner",
    "Resources",
    "SecretReference",
    "ServiceOptions",
    "StorageSource",
    "SupervisorSource",
    "harden",
    "pod_security_context",
]

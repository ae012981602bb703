"""What can be said of the storage of runs, whatever its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from constructs_lib.errors import OptionError
from constructs_lib.kubernetes.names import check_annotations, check_object_name
from constructs_lib.kubernetes.quantities import Quantity
from constructs_lib.labels import check_extra_labels
from constructs_lib.options import Amount, check_declared
from constructs_lib.pods.owner import DEFAULT_OWNER, Owner
from constructs_lib.storage.retention import check_kept
from constructs_lib.storage.sources import AccessMode


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageOptions:
    """Size, names and owner of a storage."""

    size: Amount | None = None
    """Any Kubernetes quantity of whole bytes (512Mi, 1Ti). Real, and able to grow, for a dynamic volume; nominal and
    fixed for the others. Default: that of an existing claim; required for all others."""
    access_mode: AccessMode | None = None
    """How many nodes may mount it. Default: ReadWriteMany for nfs and csi, else ReadWriteOnce; required for an existing
    claim."""
    storage_class_name: str | None = None
    """StorageClass of claim and volume. Default: the cluster's default class for a dynamic volume, none for the
    others."""
    owner: Owner | Literal["ClusterAssigned"] = DEFAULT_OWNER
    """Whom every writer runs as: uid and gid, or `ClusterAssigned` (OpenShift). Default: uid and gid 10001."""
    claim_name: str | None = None
    """Name of the PersistentVolumeClaim. Default: `<name>-runs`."""
    volume_name: str | None = None
    """Name of the PersistentVolume. Default: `<namespace>.<name>-runs`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels of volume and claim. Default: none."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Further annotations of volume and claim, but none of Argo CD, Flux or Helm. Default: none."""

    def check(self) -> None:
        """Reject values that cannot work.

        Raises:
            OptionError: names the option.
        """
        check_declared(self)
        if isinstance(self.owner, Owner):
            self.owner.check()
        for name in ("claim_name", "volume_name", "storage_class_name"):
            if getattr(self, name) is not None:
                check_object_name(name, getattr(self, name))
        check_extra_labels(self.labels)
        check_annotations("annotations", self.annotations)
        check_kept("annotations", self.annotations)
        check_kept("labels", self.labels)

    @property
    def quantity(self) -> str:
        """The size, in the spelling of the API server."""
        if self.size is None:
            raise OptionError("size", None, "write a Kubernetes quantity such as 512Mi or 1Ti")
        return str(Quantity.of_bytes("size", self.size))


DEFAULT_STORAGE = StorageOptions()

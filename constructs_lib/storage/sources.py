"""Where the volume behind an `AimStorage` comes from.

Sizes of static volumes (`NfsExport`, `CsiVolume`, `HostPath`) are nominal: Kubernetes matches a claim by them, and
neither limits the file system nor grows it later ("only dynamically provisioned pvc can be resized").
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from constructs_lib.errors import below, check_text, require
from constructs_lib.kubernetes.addresses import check_host, normal_host
from constructs_lib.kubernetes.names import check_label_value, check_namespace, check_object_name
from constructs_lib.options import check_declared
from constructs_lib.plus import k8s

_DRIVER = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*\.?")

_NFS_INSTEAD = "write volume_attributes with protocol: nfs, on a share that allows it"
_NO_LOCKS = {
    "smb.csi.k8s.io": "use NFS or a block volume: Aim fails on SMB (aimhubio/aim#2978)",
    "file.csi.azure.com": f"{_NFS_INSTEAD}: Aim fails on SMB (aimhubio/aim#2978), the driver's default",
    "blob.csi.azure.com": f"{_NFS_INSTEAD}: FUSE over an object store, the driver's default, has no locks",
    "gcsfuse.csi.storage.gke.io": "use Filestore or a block volume: FUSE over an object store has no locks",
    "s3.csi.aws.com": "use EFS or a block volume: FUSE over an object store has no locks",
}
"""CSI drivers on whose volumes Aim's index is corrupted or cannot be opened, and the way out."""

_SPEAK_NFS = {"file.csi.azure.com", "blob.csi.azure.com"}

AccessMode = Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]
"""Access modes that Aim can live with: it writes to its store even to show runs."""


class StorageSource(ABC):
    """A kind of volume. Use one of its subclasses.

    A source answers what a storage needs to know; a storage never asks which kind it is.
    """

    default_access_mode: ClassVar[AccessMode | None] = "ReadWriteOnce"
    """The access mode of a storage that names none; None where it must be named."""

    ignores: ClassVar[tuple[str, ...]] = ()
    """Options of a storage that have no effect with this source."""

    ignores_because: ClassVar[str] = ""
    """The reason for that."""

    needs_size: ClassVar[bool] = True
    """Whether a storage must name a size."""

    @abstractmethod
    def check(self) -> None:
        """Reject values that cannot work, with an `OptionError`."""

    @property
    def identity(self) -> str | None:
        """What tells the store behind it from every other one; None where its claim does."""
        return None

    @property
    def persistent_volume(self) -> PersistentVolumeParts | None:
        """What of a PersistentVolume is specific to the source; None where it needs none."""
        return None

    @property
    def existing_claim(self) -> str | None:
        """Name of the claim that is there already; None where one is made."""
        return None

    def storage_class_of_claim(self, given: str | None) -> str | None:
        """The class that the claim names; None is the cluster's default class, empty text is none.

        Args:
            given: `storage_class_name` of the storage.
        """
        return given or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistentVolumeParts:
    """What of a PersistentVolume is specific to its source.

    Attributes:
        field: of the spec, which says where the volume is.
        value: of that field.
        mount_options: of the volume.
        node: host name of the only node that has it; None for every node.
    """

    field: str
    value: object
    mount_options: Sequence[str] = ()
    node: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NfsExport(StorageSource):
    """A directory that an NFS server exports: the set-up of Aim's own guide."""

    default_access_mode: ClassVar[AccessMode | None] = "ReadWriteMany"

    server: str
    """Host name or IP address of the NFS server, as the nodes resolve it."""
    path: str
    """Absolute path of the exported directory."""
    mount_options: Sequence[str] = ()
    """Passed to `mount`, such as nfsvers=4.1: Aim trusts the locks of NFSv4 only. Not `ro`, `nolock` or `local_lock`.
    Default: none, node and server agree on the version (basic Filestore tiers speak NFSv3 only)."""

    def check(self) -> None:
        with below("nfs"):
            check_declared(self)
            check_host("server", self.server)
            _check_path("path", self.path)
            _check_mount_options(self.mount_options)

    @property
    def identity(self) -> str:
        return f"NFS export {normal_host(self.server)}:{_normal_path(self.path)}"

    @property
    def persistent_volume(self) -> PersistentVolumeParts:
        source = k8s.NfsVolumeSource(server=self.server, path=self.path)
        return PersistentVolumeParts(field="nfs", value=source, mount_options=self.mount_options)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReference:
    """A Secret and its namespace."""

    name: str
    """Name of the Secret."""
    namespace: str
    """Namespace of the Secret."""

    def check(self) -> None:
        """Reject names that no Secret and no namespace can have."""
        check_declared(self)
        check_object_name("name", self.name)
        check_namespace("namespace", self.namespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class CsiVolume(StorageSource):
    """A volume that a CSI driver knows by a handle.

    In Python, `efs`, `filestore` and `azure_files` write it for those drivers.
    """

    default_access_mode: ClassVar[AccessMode | None] = "ReadWriteMany"

    driver: str
    """Name of the CSI driver; none for SMB or for an object store over FUSE, which have no locks."""
    volume_handle: str
    """The driver's name of the volume."""
    volume_attributes: Mapping[str, str] = field(default_factory=dict)
    """Further attributes the driver wants. Default: none."""
    fs_type: str | None = None
    """File system to mount, such as `ext4`. Default: the driver's."""
    node_stage_secret_ref: SecretReference | None = None
    """Secret the driver needs to mount the volume. Default: none."""
    mount_options: Sequence[str] = ()
    """Passed to the driver. Default: none."""

    @classmethod
    def efs(cls, *, file_system: str, access_point: str) -> CsiVolume:
        """Amazon EFS through an access point.

        Without one, every file belongs to the uid that writes it and the root to root; an access point with the
        storage's `owner` as its POSIX user lets every pod write. Source: the aws-efs-csi-driver's access point example.

        Args:
            file_system: `fs-…`.
            access_point: `fsap-…`; its POSIX user must be the storage's `owner`.
        """
        return cls(driver="efs.csi.aws.com", volume_handle=f"{file_system}::{access_point}")

    @classmethod
    def filestore(cls, *, location: str, instance: str, share: str, ip: str) -> CsiVolume:
        """A Google Filestore instance that exists already.

        Source: https://cloud.google.com/filestore/docs/csi-driver ("access an existing instance").

        Args:
            location: zone or region of the instance.
            instance: name of the instance.
            share: name of the file share.
            ip: address of the instance.
        """
        handle = f"modeInstance/{location}/{instance}/{share}"
        attributes = {"ip": ip, "volume": share}
        return cls(driver="filestore.csi.storage.gke.io", volume_handle=handle, volume_attributes=attributes)

    @classmethod
    def azure_files(cls, *, resource_group: str, storage_account: str, share: str) -> CsiVolume:
        """A premium Azure Files share over NFS: Aim fails on SMB (aimhubio/aim#2978).

        Source: the azurefile-csi-driver's static provisioning of an NFS share.

        Args:
            resource_group: of the storage account.
            storage_account: a premium one (FileStorage).
            share: name of the NFS share.
        """
        attributes = {
            "resourceGroup": resource_group,
            "storageAccount": storage_account,
            "shareName": share,
            "protocol": "nfs",
        }
        handle = f"{resource_group}#{storage_account}#{share}"
        return cls(driver="file.csi.azure.com", volume_handle=handle, volume_attributes=attributes)

    def check(self) -> None:
        with below("csi"):
            check_declared(self)
            named = len(self.driver) <= 63 and _DRIVER.fullmatch(self.driver)
            require(named, "driver", self.driver, "write the name of a CSI driver")
            remedy = "write the driver's handle of the volume"
            handle = self.volume_handle
            require(handle and handle == handle.strip(), "volume_handle", handle, remedy)
            self._check_locks()
            _check_mount_options(self.mount_options)
            for option, text in (("fs_type", self.fs_type or ""), ("volume_handle", handle)):
                check_text(option, text)
            for key, text in self.volume_attributes.items():
                check_text(f"volume_attributes[{key}]", text)
            with below("node_stage_secret_ref"):
                if self.node_stage_secret_ref:
                    self.node_stage_secret_ref.check()

    def _check_locks(self) -> None:
        """Reject drivers whose file systems have no locks across nodes, unless they are told to speak NFS."""
        speaks_nfs = any((key.lower(), text) == ("protocol", "nfs") for key, text in self.volume_attributes.items())
        remedy = _NO_LOCKS.get(self.driver)
        require(remedy is None or (self.driver in _SPEAK_NFS and speaks_nfs), "driver", self.driver, remedy or "")

    @property
    def identity(self) -> str:
        return f"CSI volume {self.driver} {self.volume_handle}"

    @property
    def persistent_volume(self) -> PersistentVolumeParts:
        secret = self.node_stage_secret_ref
        reference = k8s.SecretReference(name=secret.name, namespace=secret.namespace) if secret else None
        source = k8s.CsiPersistentVolumeSource(
            driver=self.driver,
            volume_handle=self.volume_handle,
            volume_attributes=self.volume_attributes or None,
            fs_type=self.fs_type,
            node_stage_secret_ref=reference,
        )
        return PersistentVolumeParts(field="csi", value=source, mount_options=self.mount_options)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPath(StorageSource):
    """A directory of the node, for trials on a single node.

    It must exist and belong to the storage's `owner`; it is never made, so that a disk which is not mounted stops the
    server instead of hiding the runs behind an empty directory.
    """

    path: str
    """Absolute path on the node, not `/`."""
    node: str
    """The node that the directory is on: value of its label `kubernetes.io/hostname`, on most clusters its name. The
    scheduler sends the server there: a directory of the same path on another node is another, empty store."""

    def check(self) -> None:
        with below("host_path"):
            check_declared(self)
            _check_path("path", self.path)
            root = _normal_path(self.path) == "/"
            require(not root, "path", self.path, "write a directory of its own: this is the whole node")
            remedy = "write the node that the directory is on: its label kubernetes.io/hostname (kubectl get nodes)"
            require(self.node, "node", self.node, remedy)
            check_label_value("node", self.node)

    @property
    def identity(self) -> str:
        return f"host path {_normal_path(self.path)} on {self.node}"

    @property
    def persistent_volume(self) -> PersistentVolumeParts:
        source = k8s.HostPathVolumeSource(path=self.path, type="Directory")
        return PersistentVolumeParts(field="hostPath", value=source, node=self.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicVolume(StorageSource):
    """A volume that the cluster makes: of its default class, unless the storage names one.

    The only source whose size is real, and that grows by a larger `size` where its class allows it. Its class also
    decides what becomes of the volume when the claim is deleted: most delete it. `{}` is all there is to write.
    """

    ignores: ClassVar[tuple[str, ...]] = ("volume_name",)
    ignores_because: ClassVar[str] = "the cluster makes the PersistentVolume, and names it"

    def check(self) -> None:
        """Accept it: there is nothing to choose."""

    def storage_class_of_claim(self, given: str | None) -> str | None:
        return given


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingClaim(StorageSource):
    """A PersistentVolumeClaim that exists in the namespace of the chart."""

    default_access_mode: ClassVar[AccessMode | None] = None
    ignores: ClassVar[tuple[str, ...]] = (
        "size",
        "storage_class_name",
        "claim_name",
        "volume_name",
        "labels",
        "annotations",
    )
    ignores_because: ClassVar[str] = "it is that of the existing claim"
    needs_size: ClassVar[bool] = False

    name: str
    """Name of the claim."""

    @property
    def existing_claim(self) -> str:
        return self.name

    def check(self) -> None:
        with below("existing_claim"):
            check_declared(self)
            check_object_name("name", self.name)


def _check_path(option: str, path: str) -> None:
    fits = path.startswith("/") and ".." not in path.split("/") and path.isprintable() and path == path.strip()
    require(fits, option, path, "write an absolute path without '..', such as /aim")


def _normal_path(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def _check_mount_options(options: Sequence[str]) -> None:
    for flag in options:
        check_text("mount_options", flag)
        require(re.fullmatch(r"\S+", flag), "mount_options", flag, "write one option an entry, such as nfsvers=4.1")
        for part in flag.split(","):
            remedy = _refused_mount_option(part)
            require(not remedy, "mount_options", part, remedy)


def _refused_mount_option(option: str) -> str:
    """The way out, for an option with which two servers could write to one store, or none at all (nfs(5))."""
    name, _, value = option.lower().partition("=")
    if name == "nolock" or (name == "local_lock" and value != "none"):
        return "leave it out: without locks across nodes, two servers could destroy the index"
    if name == "ro":
        return "leave it out: Aim writes to its store, even to show runs"
    if (name in {"vers", "nfsvers"} and re.fullmatch(r"[012](\.\d+)?", value)) or name == "v2":
        return "write nfsvers=4.1, or nfsvers=3 where nothing newer is spoken: NFS 2 has no sound locks"
    return ""

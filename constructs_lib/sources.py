"""Where the volume behind an `AimStorage` comes from.

Sizes of static volumes (`NfsExport`, `CsiVolume`, `HostPath`) are nominal: Kubernetes matches a claim by them, and
neither limits the file system nor grows it later ("only dynamically provisioned pvc can be resized").
"""

from __future__ import annotations

import ipaddress
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from constructs_lib.errors import below, check_list, check_text, require
from constructs_lib.names import check_label_value, check_namespace, check_object_name
from constructs_lib.plus import k8s, kplus

_HOSTNAME = "kubernetes.io/hostname"
_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*\.?")


_NFS_INSTEAD = "write volumeAttributes (volume_attributes) with protocol: nfs, on a share that allows it"
_NO_LOCKS = {
    "smb.csi.k8s.io": "use NFS or a block volume: Aim fails on SMB (aimhubio/aim#2978)",
    "file.csi.azure.com": f"{_NFS_INSTEAD}: Aim fails on SMB (aimhubio/aim#2978), the driver's default",
    "blob.csi.azure.com": f"{_NFS_INSTEAD}: FUSE over an object store, the driver's default, has no locks",
    "gcsfuse.csi.storage.gke.io": "use Filestore or a block volume: FUSE over an object store has no locks",
    "s3.csi.aws.com": "use EFS or a block volume: FUSE over an object store has no locks",
}
"""CSI drivers on whose volumes Aim's index is corrupted or cannot be opened, and the way out."""

_SPEAK_NFS = {"file.csi.azure.com", "blob.csi.azure.com"}


class StorageSource(ABC):
    """A kind of volume. Use one of its subclasses."""

    default_access_mode: kplus.PersistentVolumeAccessMode | None = kplus.PersistentVolumeAccessMode.READ_WRITE_ONCE
    """The access mode of a storage that names none; None where it must be named."""

    without: tuple[str, ...] = ()
    """The options of a storage that this source leaves without effect."""

    because = ""
    """Why it does."""

    @abstractmethod
    def check(self) -> None:
        """Refuse values that cannot work, with an `OptionError`."""


class StaticSource(StorageSource):
    """A volume that exists outside the cluster: it gets a PersistentVolume and a claim, bound to each other."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """What tells this store from every other one: two servers on one store destroy its index."""

    @property
    @abstractmethod
    def volume_spec(self) -> tuple[str, object]:
        """The field of a PersistentVolume's spec that says where the volume is, and its value."""

    @property
    def mount_flags(self) -> Sequence[str]:
        """The volume's mount options."""
        return ()

    @property
    def node_affinity(self) -> k8s.VolumeNodeAffinity | None:
        """The nodes that can mount the volume; None for all."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NfsExport(StaticSource):
    """A directory that an NFS server exports: the set-up of Aim's own guide.

    Attributes:
        server: host name or IP address of the NFS server, as the nodes resolve it.
        path: absolute path of the exported directory.
        mount_options: passed to `mount`. Default: none, the node and the server agree on the version (basic Filestore
            tiers speak NFSv3 only). `nfsvers=4.1` is worth asking for: Aim trusts the locks of NFSv4 only.
    """

    server: str
    path: str
    mount_options: Sequence[str] = ()

    default_access_mode = kplus.PersistentVolumeAccessMode.READ_WRITE_MANY

    def check(self) -> None:
        with below("nfs"):
            remedy = "write the host name or IP address alone, such as nfs.example.com or 10.0.0.7"
            require(_is_host(self.server), "server", self.server, remedy)
            _check_path("path", self.path)
            _check_mount_options(self.mount_options)

    @property
    def identity(self) -> str:
        return f"NFS export {_normal_host(self.server)}:{_normal_path(self.path)}"

    @property
    def volume_spec(self) -> tuple[str, object]:
        return "nfs", k8s.NfsVolumeSource(server=self.server, path=self.path)

    @property
    def mount_flags(self) -> Sequence[str]:
        return self.mount_options


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReference:
    """A Secret and the namespace it is in.

    Attributes:
        name: of the Secret.
        namespace: of the Secret.
    """

    name: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CsiVolume(StaticSource):
    """A volume that a CSI driver knows by a handle; `efs`, `filestore` and `azure_files` write it for theirs.

    Attributes:
        driver: name of the CSI driver.
        volume_handle: what the driver calls the volume.
        volume_attributes: further attributes the driver wants. Default: none.
        fs_type: file system to mount, such as `ext4`. Default: the driver's.
        node_stage_secret_ref: Secret the driver needs to mount the volume. Default: none.
        mount_options: passed to the driver. Default: none.
    """

    driver: str
    volume_handle: str
    volume_attributes: Mapping[str, str] = field(default_factory=dict)
    fs_type: str | None = None
    node_stage_secret_ref: SecretReference | None = None
    mount_options: Sequence[str] = ()

    default_access_mode = kplus.PersistentVolumeAccessMode.READ_WRITE_MANY

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
            named = len(self.driver) <= 63 and _HOST.fullmatch(self.driver)
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
            if self.node_stage_secret_ref:
                check_object_name("node_stage_secret_ref.name", self.node_stage_secret_ref.name)
                check_namespace("node_stage_secret_ref.namespace", self.node_stage_secret_ref.namespace)

    def _check_locks(self) -> None:
        """Refuse drivers whose file systems have no locks across nodes, unless they are told to speak NFS."""
        speaks_nfs = any((key.lower(), text) == ("protocol", "nfs") for key, text in self.volume_attributes.items())
        remedy = _NO_LOCKS.get(self.driver)
        require(remedy is None or (self.driver in _SPEAK_NFS and speaks_nfs), "driver", self.driver, remedy or "")

    @property
    def identity(self) -> str:
        return f"CSI volume {self.driver} {self.volume_handle}"

    @property
    def volume_spec(self) -> tuple[str, object]:
        secret = self.node_stage_secret_ref
        reference = k8s.SecretReference(name=secret.name, namespace=secret.namespace) if secret else None
        return "csi", k8s.CsiPersistentVolumeSource(
            driver=self.driver,
            volume_handle=self.volume_handle,
            volume_attributes=self.volume_attributes or None,
            fs_type=self.fs_type,
            node_stage_secret_ref=reference,
        )

    @property
    def mount_flags(self) -> Sequence[str]:
        return self.mount_options


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPath(StaticSource):
    """A directory of the node, for trials on a single node.

    It must exist and belong to the storage's `owner`; it is never made, so that a disk which is not mounted stops the
    server instead of hiding the runs behind an empty directory.

    It belongs to one node: on another one, a folder of the same path is another, empty store. So the volume says which
    node it is on, and the scheduler sends the server there.

    Attributes:
        path: absolute path on the node, not `/`.
        node: value of the node's label `kubernetes.io/hostname`, which on most clusters is its name.
    """

    path: str
    node: str

    def check(self) -> None:
        with below("host_path"):
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
    def node_affinity(self) -> k8s.VolumeNodeAffinity:
        here = k8s.NodeSelectorRequirement(key=_HOSTNAME, operator="In", values=[self.node])
        terms = [k8s.NodeSelectorTerm(match_expressions=[here])]
        return k8s.VolumeNodeAffinity(required=k8s.NodeSelector(node_selector_terms=terms))

    @property
    def volume_spec(self) -> tuple[str, object]:
        return "hostPath", k8s.HostPathVolumeSource(path=self.path, type="Directory")


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicVolume(StorageSource):
    """A volume that the cluster makes: of its default class, unless the storage names one.

    The only source whose size is real, and that grows by a larger `size` where its class allows it. Its class also
    decides what becomes of the volume when the claim is deleted: most delete it.
    """

    without = ("volume_name",)
    because = "the cluster makes the PersistentVolume, and names it"

    def check(self) -> None:
        """Nothing to refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingClaim(StorageSource):
    """A PersistentVolumeClaim that somebody else made, in the namespace of the chart.

    Attributes:
        name: of the claim.
    """

    name: str

    default_access_mode = None
    without = ("size", "storage_class_name", "claim_name", "volume_name", "labels", "annotations")
    because = "it is that of the existing claim"

    def check(self) -> None:
        with below("existing_claim"):
            check_object_name("name", self.name)


def _is_host(server: str) -> bool:
    if _address(server):
        return "%" not in server
    numeric = re.fullmatch(r"[\d.]+", server)
    return len(server) <= 253 and not numeric and bool(_HOST.fullmatch(server))


def _address(server: str) -> str | None:
    try:
        return str(ipaddress.ip_address(server))
    except ValueError:
        return None


def _normal_host(server: str) -> str:
    return _address(server) or server.lower().rstrip(".")


def _check_path(option: str, path: str) -> None:
    fits = path.startswith("/") and ".." not in path.split("/") and path.isprintable() and path == path.strip()
    require(fits, option, path, "write an absolute path without '..', such as /aim")


def _normal_path(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def _check_mount_options(options: Sequence[str]) -> None:
    check_list("mount_options", options)
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

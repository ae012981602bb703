"""`AimStorage`: where the runs live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cdk8s
import jsii
from constructs import Construct

from constructs_lib.errors import OptionError, check_whole, reported_by, require
from constructs_lib.labels import STORAGE, check_extra_labels, common_labels
from constructs_lib.names import check_annotations, check_instance_name, check_namespace, check_object_name
from constructs_lib.ownership import Ownership
from constructs_lib.plus import k8s, kplus, leave_namespace_out
from constructs_lib.pods import PodOrWorkload
from constructs_lib.quantities import Quantity
from constructs_lib.recording import check_can_record, let_record
from constructs_lib.retention import check_kept, retention_annotations
from constructs_lib.sources import DynamicVolume, ExistingClaim, StaticSource, StorageSource

_READ_ONLY = kplus.PersistentVolumeAccessMode.READ_ONLY_MANY
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The identity that every writer runs as: Aim's files are 0644, so no other user can write to them.

    Attributes:
        uid: user id, 1 to 2147483647. Default: 10001.
        gid: group id, 1 to 2147483647. Default: 10001.
    """

    uid: int = 10001
    gid: int = 10001

    def check(self) -> None:
        """Refuse ids that Kubernetes, or Pod Security "restricted", refuses."""
        check_whole("owner.uid", self.uid, low=1, high=_LARGEST_ID)
        check_whole("owner.gid", self.gid, low=1, high=_LARGEST_ID)


DEFAULT_OWNER = Owner()


@jsii.implements(kplus.IStorage)
class AimStorage(Construct):
    """The volume that the runs are on: a PersistentVolumeClaim and, for a static source, its PersistentVolume.

    `attach` lets a workload record into it. It is also a cdk8s-plus `IStorage`, for what needs no more than the files:
    `container.mount("/backup", storage)` works in any chart of the same namespace.

    Both objects are kept by the documented uninstall, by Argo CD and by Flux; a static volume also by its reclaim
    policy Retain. A static pair is bound in both directions, so that neither can be taken by anything else.

    Attributes:
        name: name of the instance.
        namespace: namespace of the claim; None where the chart has none.
        access_mode: of the claim.
        owner: whom every writer runs as; None where the cluster decides.
        claim: the claim.
        volume: the PersistentVolume; None where there is none of ours.
        place: where the claim is: its namespace, or the chart that has none.
        stores: what tells this store from every other one.
    """

    name: str
    namespace: str | None
    access_mode: kplus.PersistentVolumeAccessMode
    owner: Owner | None
    claim: kplus.IPersistentVolumeClaim
    volume: kplus.PersistentVolume | None
    place: str
    stores: tuple[str, ...]

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        source: StorageSource,
        size: str | cdk8s.Size | None = None,
        name: str = "aim",
        access_mode: kplus.PersistentVolumeAccessMode | None = None,
        storage_class_name: str | None = None,
        owner: Owner | None = DEFAULT_OWNER,
        claim_name: str | None = None,
        volume_name: str | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Make the claim, and the volume of a static source.

        Args:
            scope: a chart, or a construct in one.
            id: of this construct; no name in the cluster comes from it.
            source: where the volume comes from.
            size: any Kubernetes quantity of whole bytes (512Mi, 1Ti). Nominal for a static source: it cannot grow
                later. Required, but for an `ExistingClaim`, which has its own.
            name: name of the instance, a DNS-1035 label of at most 40 characters. Default: `aim`.
            access_mode: any but ReadOnlyMany. Default: ReadWriteMany for NFS and CSI, else ReadWriteOnce; required for
                an `ExistingClaim`.
            storage_class_name: Default: the cluster's default class for a `DynamicVolume`, none for a static source.
            owner: whom every writer runs as. Default: uid and gid 10001. None leaves it to the cluster (OpenShift).
            claim_name: Default: `<name>-runs`.
            volume_name: Default: `<namespace>.<name>-runs`; the dot keeps `a-b` with `c` apart from `a` with `b-c`.
            labels: further labels of both objects. Default: none.
            annotations: further annotations of both objects, but none of Argo CD, Flux or Helm. Default: none.

        Raises:
            OptionError: an option that cannot work or has no effect, or an object that something else makes already.
        """
        self.name = name
        chart = cdk8s.Chart.of(scope)
        self.namespace = chart.namespace
        self.place = f"namespace {self.namespace}" if self.namespace else f"chart {chart.node.path}"
        self.owner = owner
        self._source = source
        self._class = storage_class_name
        self._labels = dict(labels or {})
        self._annotations = dict(annotations or {})
        given: dict[str, object] = {"size": size, "storage_class_name": storage_class_name, "claim_name": claim_name}
        given |= {"volume_name": volume_name, "labels": labels or None, "annotations": annotations or None}
        with reported_by(scope, id):
            require(isinstance(source, StorageSource), "source", source, "write an NfsExport, a DynamicVolume ...")
            _check_needless(source, given)
            self._claim_name, self._volume_name = self._names(claim_name, volume_name)
            self._check()
            self.access_mode = _access_mode(source, access_mode)
            self._size = _size(source, size)
            ownership, things = Ownership.of(scope), self._things()
            ownership.check(things)
        super().__init__(scope, id)
        ownership.take(things, self)
        self.volume = self._make_volume(source) if isinstance(source, StaticSource) else None
        self.claim = self._make_claim()
        self._mounted: kplus.Volume | None = None

    def as_volume(self) -> kplus.Volume:
        """The volume to mount in a pod; the same one at every call, as two of one name are refused in a pod."""
        if not self._mounted:
            name = self._claim_name.replace(".", "-")[:63].rstrip("-")
            self._mounted = kplus.Volume.from_persistent_volume_claim(self, "Volume", self.claim, name=name)
        return self._mounted

    def attach(self, workload: PodOrWorkload, *, share_node: bool = False) -> None:
        """Let a pod or workload record runs, `aim.Run(repo=os.environ["AIM_REPO"])`, in each of its containers.

        Init containers run as the owner, too, and have neither volume nor variable.

        The volume is mounted at `/aim`, the variable `AIM_REPO` says so, and the pod runs as the storage's owner: Aim's
        files are 0644, so no other user can write to them, not even one of the owner's group with umask 002
        (measured). Nothing else is touched: a training image may need a root that it can write to.

        Args:
            workload: a Pod, Job, CronJob, Deployment, StatefulSet or DaemonSet in the storage's namespace, with all of
                its containers.
            share_node: run on the node of the server, and wait for one that has it. Required for ReadWriteOnce
                storage, which can be on one node only. The server is the one of the storage's `name`, also where the
                claim exists already. For short Jobs: a long-running pod holds the volume on its node when the server
                has to leave that, so record through `AimServer.add_tracking` then. Default: False.

        Raises:
            OptionError: another namespace, no container, ReadWriteOncePod, ReadWriteOnce without `share_node`, another
                user id, `/aim` or `AIM_REPO` taken, or a DaemonSet that would share a node.
        """
        with reported_by(workload):
            check_can_record(self, workload, share_node=share_node)
            let_record(self, workload, share_node=share_node)

    def _names(self, claim_name: str | None, volume_name: str | None) -> tuple[str, str]:
        check_instance_name("name", self.name)
        if isinstance(self._source, ExistingClaim):
            claim_name = self._source.name
        claim = f"{self.name}-runs" if claim_name is None else claim_name
        volume = f"{self.namespace}.{self.name}-runs" if volume_name is None else volume_name
        return claim, volume

    def _check(self) -> None:
        self._source.check()
        if self.owner:
            self.owner.check()
        if self.namespace is not None:
            check_namespace("namespace", self.namespace)
        elif isinstance(self._source, StaticSource):
            remedy = "give the chart a namespace: a PersistentVolume is bound to a claim of one namespace"
            raise OptionError("namespace", None, remedy)
        check_object_name("claim_name", self._claim_name)
        if isinstance(self._source, StaticSource):
            check_object_name("volume_name", self._volume_name)
        if self._class is not None:
            check_object_name("storage_class_name", self._class)
        check_extra_labels(self._labels)
        check_annotations("annotations", self._annotations)
        check_kept("annotations", self._annotations)
        check_kept("labels", self._labels)

    def _things(self) -> dict[str, str]:
        """What this makes; the claim of others is theirs."""
        claim = f"PersistentVolumeClaim {self._claim_name} in {self.place}"
        self.stores = (claim,)
        if isinstance(self._source, ExistingClaim):
            return {}
        if not isinstance(self._source, StaticSource):
            return {claim: "claim_name"}
        self.stores = (claim, self._source.identity)
        return {claim: "claim_name", f"PersistentVolume {self._volume_name}": "volume_name"}

    def _make_volume(self, source: StaticSource) -> kplus.PersistentVolume:
        volume = kplus.PersistentVolume(
            self,
            "PersistentVolume",
            metadata=self._metadata(self._volume_name, "The volume that the runs are on."),
            access_modes=[self.access_mode],
            mount_options=list(source.mount_flags) or None,
            reclaim_policy=kplus.PersistentVolumeReclaimPolicy.RETAIN,
            storage_class_name=self._class,
        )
        field, value = source.volume_spec
        claim = k8s.ObjectReference(
            api_version="v1", kind="PersistentVolumeClaim", name=self._claim_name, namespace=self.namespace
        )
        leave_namespace_out(volume)
        cdk8s.ApiObject.of(volume).add_json_patch(
            # cdk8s-plus takes whole gibibytes only, and a claimRef without a namespace never binds
            cdk8s.JsonPatch.add("/spec/capacity", {"storage": k8s.Quantity.from_string(self._size)}),
            cdk8s.JsonPatch.add("/spec/claimRef", claim),
            cdk8s.JsonPatch.add(f"/spec/{field}", value),
        )
        if source.node_affinity:
            cdk8s.ApiObject.of(volume).add_json_patch(cdk8s.JsonPatch.add("/spec/nodeAffinity", source.node_affinity))
        return volume

    def _make_claim(self) -> kplus.IPersistentVolumeClaim:
        if isinstance(self._source, ExistingClaim):
            return kplus.PersistentVolumeClaim.from_claim_name(self, "PersistentVolumeClaim", self._claim_name)
        dynamic = isinstance(self._source, DynamicVolume)
        claim = kplus.PersistentVolumeClaim(
            self,
            "PersistentVolumeClaim",
            metadata=self._metadata(self._claim_name, "The claim on the volume that the runs are on."),
            access_modes=[self.access_mode],
            # no class at all means the cluster's default class, the empty one means none: a static pair must say so
            storage_class_name=self._class if dynamic or self._class else "",
            volume=self.volume,
        )
        request = k8s.ResourceRequirements(requests={"storage": k8s.Quantity.from_string(self._size)})
        cdk8s.ApiObject.of(claim).add_json_patch(cdk8s.JsonPatch.add("/spec/resources", request))
        return claim

    def _metadata(self, name: str, reason: str) -> cdk8s.ApiObjectMetadata:
        return cdk8s.ApiObjectMetadata(
            name=name,
            labels={**self._labels, **common_labels(self.name, STORAGE)},
            annotations={**retention_annotations(reason), **self._annotations},
        )


def _check_needless(source: StorageSource, given: Mapping[str, object]) -> None:
    """Refuse options that the source leaves without effect."""
    for option in source.without:
        value = given.get(option)
        require(value is None, option, value, f"leave it out: {source.because}")


def _access_mode(
    source: StorageSource, given: kplus.PersistentVolumeAccessMode | None
) -> kplus.PersistentVolumeAccessMode:
    mode = given or source.default_access_mode
    if mode is None:
        raise OptionError("access_mode", given, "write the access mode that the existing claim has")
    require(
        mode is not _READ_ONLY,
        "access_mode",
        "ReadOnlyMany",
        "write ReadWriteMany or ReadWriteOnce: Aim writes to its store",
    )
    return mode


def _size(source: StorageSource, given: str | cdk8s.Size | None) -> str:
    if isinstance(source, ExistingClaim):
        return ""
    if given is None:
        raise OptionError("size", given, "write a Kubernetes quantity such as 512Mi or 1Ti")
    return str(Quantity.of_bytes("size", given.as_string() if isinstance(given, cdk8s.Size) else given))

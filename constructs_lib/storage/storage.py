"""`AimStorage`: where the runs live."""

from __future__ import annotations

from dataclasses import dataclass

import cdk8s
import jsii
from constructs import Construct

from constructs_lib.errors import OptionError, reported_by, require, require_type
from constructs_lib.kubernetes.names import check_instance_name, check_namespace
from constructs_lib.labels import STORAGE, common_labels
from constructs_lib.plus import k8s, kplus, patch, quantity, remove_namespace
from constructs_lib.pods.owner import Owner
from constructs_lib.registry import Entry, check_free, take
from constructs_lib.storage.retention import retention_annotations
from constructs_lib.storage.sources import AccessMode, PersistentVolumeParts, StorageSource
from constructs_lib.storage.storage_options import DEFAULT_STORAGE, StorageOptions

_MODES = {
    "ReadWriteOnce": kplus.PersistentVolumeAccessMode.READ_WRITE_ONCE,
    "ReadWriteMany": kplus.PersistentVolumeAccessMode.READ_WRITE_MANY,
    "ReadWriteOncePod": kplus.PersistentVolumeAccessMode.READ_WRITE_ONCE_POD,
}


@jsii.implements(kplus.IStorage)
class AimStorage(Construct):
    """The volume that the runs are on: a PersistentVolumeClaim and, for a static source, its PersistentVolume.

    `attach(workload, storage)` lets a workload record into it. It is also a cdk8s-plus `IStorage`, for what needs no
    more than the files: `container.mount("/backup", storage)` works in any chart of the same namespace.

    Both objects are kept by the documented uninstall, by Argo CD and by Flux; a static volume also by its reclaim
    policy Retain. A static pair is bound in both directions, so that neither can be taken by anything else.

    Attributes:
        name: name of the instance, unless its server has one of its own.
        namespace: namespace of the claim; None where the chart has none.
        access_mode: of the claim.
        owner: whom every writer runs as; None where the cluster decides.
        claim: the claim.
        volume: the PersistentVolume; None where there is none of this storage's.
        source: where the volume comes from.
        server_name: instance label of its server's pods, by which other pods go to the server's node. `AimServer` sets
            it, and cannot any more when it has been read.
    """

    name: str
    namespace: str | None
    access_mode: AccessMode
    owner: Owner | None
    claim: kplus.IPersistentVolumeClaim
    volume: kplus.PersistentVolume | None
    source: StorageSource

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        source: StorageSource,
        name: str = "aim",
        options: StorageOptions = DEFAULT_STORAGE,
    ) -> None:
        """Make the claim, and the volume of a static source.

        Args:
            scope: a chart, or a construct in one.
            id: of this construct; no name in the cluster comes from it.
            source: where the volume comes from.
            name: of the instance, a DNS-1035 label of at most 40 characters; names of objects are derived from it.
                Default: `aim`.
            options: size, names and owner. Default: those of `StorageOptions`, but `size` is required by most sources.

        Raises:
            OptionError: an option that cannot work or has no effect, or an object that something else makes already.
        """
        with reported_by(scope, id):
            plan = _plan(cdk8s.Chart.of(scope), source, name, options)
            check_free(scope, plan.entries)
        super().__init__(scope, id)
        take(scope, plan.entries, owner=self)
        self.name, self.namespace, self.source = name, plan.namespace, source
        self.access_mode = plan.access_mode
        self.owner = options.owner if isinstance(options.owner, Owner) else None
        self._plan = plan
        self.volume = self._make_volume(source.persistent_volume) if source.persistent_volume else None
        self.claim = self._make_claim()
        self._mounted: kplus.Volume | None = None
        self._server_name, self._is_server_name_read = name, False

    @property
    def claim_name(self) -> str:
        """Name of the claim."""
        return self._plan.claim_name

    @property
    def place(self) -> str:
        """Where the claim is: its namespace, or the chart that has none."""
        return self._plan.place

    @property
    def server_name(self) -> str:
        """Instance label of the pods of its server."""
        self._is_server_name_read = True
        return self._server_name

    @server_name.setter
    def server_name(self, name: str) -> None:
        remedy = f"make the server first: pods that share its node look for {self._server_name!r} already"
        require(name == self._server_name or not self._is_server_name_read, "name", name, remedy)
        self._server_name = name

    def as_volume(self) -> kplus.Volume:
        """Return the volume to mount in a pod; the same one at every call, as a pod refuses two of one name."""
        if not self._mounted:
            name = self.claim_name.replace(".", "-")[:63].rstrip("-")
            self._mounted = kplus.Volume.from_persistent_volume_claim(self, "Volume", self.claim, name=name)
        return self._mounted

    def _make_volume(self, parts: PersistentVolumeParts) -> kplus.PersistentVolume:
        volume = kplus.PersistentVolume(
            self,
            "PersistentVolume",
            metadata=self._metadata(self._plan.volume_name, "The volume that the runs are on."),
            access_modes=[_MODES[self.access_mode]],
            mount_options=list(parts.mount_options) or None,
            reclaim_policy=kplus.PersistentVolumeReclaimPolicy.RETAIN,
            storage_class_name=self._plan.options.storage_class_name,
        )
        remove_namespace(volume)
        claim = k8s.ObjectReference(
            api_version="v1", kind="PersistentVolumeClaim", name=self.claim_name, namespace=self.namespace
        )
        # cdk8s-plus takes whole gibibytes only, and a claimRef without a namespace never binds
        fields = {"capacity": {"storage": quantity(self._plan.size)}, "claimRef": claim, parts.field: parts.value}
        if parts.node:
            fields["nodeAffinity"] = _on(parts.node)
        patch(volume, {f"/spec/{field}": value for field, value in fields.items()})
        return volume

    def _make_claim(self) -> kplus.IPersistentVolumeClaim:
        if self.source.existing_claim:
            return kplus.PersistentVolumeClaim.from_claim_name(self, "PersistentVolumeClaim", self.claim_name)
        claim = kplus.PersistentVolumeClaim(
            self,
            "PersistentVolumeClaim",
            metadata=self._metadata(self.claim_name, "The claim on the volume that the runs are on."),
            access_modes=[_MODES[self.access_mode]],
            storage_class_name=self.source.storage_class_of_claim(self._plan.options.storage_class_name),
            volume=self.volume,
        )
        patch(claim, {"/spec/resources": {"requests": {"storage": quantity(self._plan.size)}}})
        return claim

    def _metadata(self, name: str, reason: str) -> cdk8s.ApiObjectMetadata:
        options = self._plan.options
        return cdk8s.ApiObjectMetadata(
            name=name,
            labels={**options.labels, **common_labels(self.name, STORAGE)},
            annotations={**retention_annotations(reason), **options.annotations},
        )


def check_storage(chart: cdk8s.Chart, storage: AimStorage) -> None:
    """Reject what is no storage, and one whose claim the pods of a chart cannot mount."""
    require_type("storage", storage, AimStorage, "write an AimStorage, such as server.storage")
    check_namespaces("storage", chart, storage.namespace)


def check_namespaces(option: str, chart: cdk8s.Chart, namespace: str | None) -> None:
    """Reject an object of another namespace than that of the chart whose pods mount it."""
    remedy = f"put both in one namespace: a pod mounts what is in its own only, here {namespace!r}"
    require(chart.namespace == namespace, option, chart.namespace, remedy)


def _on(node: str) -> k8s.VolumeNodeAffinity:
    """Tie a volume to a node, so that the scheduler sends its pods there."""
    here = k8s.NodeSelectorRequirement(key="kubernetes.io/hostname", operator="In", values=[node])
    terms = [k8s.NodeSelectorTerm(match_expressions=[here])]
    return k8s.VolumeNodeAffinity(required=k8s.NodeSelector(node_selector_terms=terms))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The options of a storage, resolved."""

    options: StorageOptions
    namespace: str | None
    place: str
    access_mode: AccessMode
    size: str
    claim_name: str
    volume_name: str
    entries: tuple[Entry, ...]


def _plan(chart: cdk8s.Chart, source: StorageSource, name: str, options: StorageOptions) -> _Plan:
    """Check the options against the source and the chart, and resolve them."""
    require_type("source", source, StorageSource, "write an NfsExport, a DynamicVolume ...")
    require_type("options", options, StorageOptions, "write StorageOptions(...)")
    _check_effective(source, options)
    check_instance_name("name", name)
    source.check()
    options.check()
    namespace = chart.namespace
    _check_namespace(source, namespace)
    claim = source.existing_claim or options.claim_name or f"{name}-runs"
    volume = options.volume_name or f"{namespace}.{name}-runs"
    place = namespace or f"chart {chart.node.path}"
    return _Plan(
        options=options,
        namespace=namespace,
        place=place,
        access_mode=_access_mode(source, options.access_mode),
        size=options.quantity if source.needs_size else "",
        claim_name=claim,
        volume_name=volume,
        entries=tuple(_entries(source, claim, volume, place)),
    )


def _check_effective(source: StorageSource, options: StorageOptions) -> None:
    for option in source.ignores:
        value = getattr(options, option) or None
        require(value is None, option, value, f"leave it out: {source.ignores_because}")


def _check_namespace(source: StorageSource, namespace: str | None) -> None:
    if namespace is not None:
        check_namespace("namespace", namespace)
    elif source.persistent_volume:
        remedy = "give the chart a namespace: a PersistentVolume is bound to a claim of one namespace"
        raise OptionError("namespace", None, remedy)


def _access_mode(source: StorageSource, given: AccessMode | None) -> AccessMode:
    mode = given or source.default_access_mode
    if mode is None:
        raise OptionError("access_mode", given, "write the access mode that the existing claim has")
    return mode


def _entries(source: StorageSource, claim: str, volume: str, place: str) -> list[Entry]:
    """Objects that a storage makes; an existing claim is not among them."""
    if source.existing_claim:
        return []
    made = [Entry(kind="PersistentVolumeClaim", place=place, name=claim, option="claim_name")]
    if source.persistent_volume:
        made.append(Entry(kind="PersistentVolume", name=volume, option="volume_name"))
    return made

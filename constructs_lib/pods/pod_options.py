"""What can be said of every pod, whatever makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from constructs_lib.errors import below
from constructs_lib.kubernetes.names import check_annotations, check_labels, check_object_name
from constructs_lib.options import camel, check_declared, indexed, manifest
from constructs_lib.pods.scheduling import HostAlias, Toleration

Options = TypeVar("Options", bound="PodOptions")

_AMD64 = {"kubernetes.io/arch": "amd64"}

_SPEC = {"spec": True}
"""Marks a field that is one of the pod's spec, of the same name: it needs no rendering of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodOptions:
    """Scheduling and metadata of a pod."""

    node_selector: Mapping[str, str] | None = field(default=None, metadata=_SPEC)
    """Labels of the nodes to run on; replace them where the image was built for another architecture. Default:
    `kubernetes.io/arch: amd64` where Aim runs, as Aim publishes no other Linux wheel; none for pods of your own."""
    tolerations: Sequence[Toleration] = field(default=(), metadata=_SPEC)
    """Taints of nodes that the pod tolerates. Default: none."""
    priority_class_name: str | None = field(default=None, metadata=_SPEC)
    """Name of a PriorityClass. Default: the cluster's."""
    runtime_class_name: str | None = field(default=None, metadata=_SPEC)
    """Name of a RuntimeClass, such as one of gVisor. Default: the cluster's runtime."""
    host_aliases: Sequence[HostAlias] = field(default=(), metadata=_SPEC)
    """Host names that no DNS knows, for the pod's `/etc/hosts`. Default: none."""
    pod_annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the pod. Default: none."""

    def check(self) -> None:
        """Reject values that cannot work.

        Raises:
            OptionError: names the option.
        """
        check_declared(self)
        check_labels("node_selector", self.node_selector or {})
        for name in ("priority_class_name", "runtime_class_name"):
            if getattr(self, name) is not None:
                check_object_name(name, getattr(self, name))
        groups: list[tuple[Any, str]] = [*indexed("tolerations", self.tolerations)]
        for group, where in [*groups, *indexed("host_aliases", self.host_aliases)]:
            with below(where):
                group.check()
        check_annotations("pod_annotations", self.pod_annotations)

    @property
    def spec(self) -> dict[str, object]:
        """Fields of the pod's spec."""
        own = ((each.name, getattr(self, each.name)) for each in fields(PodOptions) if "spec" in each.metadata)
        return {camel(name): manifest(value) for name, value in own if value}


def for_aim(options: Options) -> Options:
    """Return the same options, on amd64 where they name no nodes: Aim publishes no other Linux wheel."""
    return options if options.node_selector is not None else replace(options, node_selector=_AMD64)

"""Requests and limits of a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from constructs_lib.errors import below, require
from constructs_lib.kubernetes.names import check_key
from constructs_lib.kubernetes.quantities import Quantity
from constructs_lib.options import Amount, check_declared
from constructs_lib.plus import k8s, quantity

_EPHEMERAL = "ephemeral-storage"
_NATIVE = ("cpu", "memory", _EPHEMERAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Requests and limits of a container by resource name: cpu, memory, ephemeral-storage ..."""

    requests: Mapping[str, Amount] = field(default_factory=dict)
    """What the scheduler sets aside, as Kubernetes quantities. Default: none."""
    limits: Mapping[str, Amount] = field(default_factory=dict)
    """What the container may use at most, none below its request. Default: none."""

    def check(self) -> None:
        """Reject unknown resources, what is no quantity, and a limit below its request."""
        with below("resources"):
            check_declared(self)
            requests, limits = _parse("requests", self.requests), _parse("limits", self.limits)
            for resource, limit in limits.items():
                request = requests.get(resource, limit)
                remedy = f"write at least the request, {request}"
                require(limit.amount >= request.amount, f"limits[{resource}]", str(limit), remedy)
            for resource, request in requests.items():
                whole = "/" not in resource or limits.get(resource) == request
                remedy = f"write it under limits too, {request}: Kubernetes shares out {resource} as a whole only"
                require(whole, f"requests[{resource}]", str(request), remedy)

    def with_scratch(self, limit: str = "1Gi") -> Resources:
        """The same, with ephemeral storage for /tmp and logs where neither a request nor a limit of it is given.

        Args:
            limit: of the pod's scratch volumes and the five log files of 10 MiB that a kubelet keeps by default.
                Default: 1Gi, for the 512Mi of a server's scratch volume.
        """
        if _EPHEMERAL in {*self.requests, *self.limits}:
            return self
        requests, limits = {**self.requests, _EPHEMERAL: "100Mi"}, {**self.limits, _EPHEMERAL: limit}
        return Resources(requests=requests, limits=limits)

    def render(self) -> dict[str, dict[str, k8s.Quantity]]:
        """The container's field; cdk8s-plus knows whole mebibytes only and fills in what is left out."""
        fields = {"requests": _parse("requests", self.requests), "limits": _parse("limits", self.limits)}
        return {
            field: {resource: quantity(str(amount)) for resource, amount in amounts.items()}
            for field, amounts in fields.items()
            if amounts
        }


def _parse(option: str, amounts: Mapping[str, Amount]) -> dict[str, Quantity]:
    return {resource: _quantity(f"{option}[{resource}]", resource, text) for resource, text in amounts.items()}


def _quantity(option: str, resource: str, text: Amount) -> Quantity:
    native = resource in _NATIVE or resource.startswith("hugepages-")
    remedy = f"write {', '.join(_NATIVE)}, or a resource of a device plugin such as nvidia.com/gpu"
    require(native or "/" in resource, option, text, remedy)
    check_key(option, resource)
    if resource == "cpu":
        return Quantity.of_cpu(option, text)
    if native:
        return Quantity.of_bytes(option, text)
    quantity = Quantity.parse(option, text, such_as="1")
    require(quantity.amount % 1 == 0, option, text, "write a whole number: a device is not shared")
    return quantity

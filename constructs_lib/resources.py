"""Requests and limits of a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from constructs_lib.errors import below, require
from constructs_lib.names import check_key
from constructs_lib.plus import k8s
from constructs_lib.quantities import Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Requests and limits of a container, by resource name: cpu, memory, ephemeral-storage ...

    Attributes:
        requests: what the scheduler sets aside, as Kubernetes quantities. Default: none.
        limits: what the container may use at most, none below its request. Default: none.
    """

    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what is no quantity, and a limit below its request."""
        with below("resources"):
            requests, limits = _parse("requests", self.requests), _parse("limits", self.limits)
        for resource, limit in limits.items():
            request = requests.get(resource, limit)
            remedy = f"write at least the request, {request}"
            require(limit.amount >= request.amount, f"resources.limits.{resource}", str(limit), remedy)

    def render(self) -> k8s.ResourceRequirements:
        """The container's field; cdk8s-plus knows whole mebibytes only and fills in what is left out."""
        return k8s.ResourceRequirements(requests=_render(self.requests), limits=_render(self.limits))


def _parse(option: str, amounts: Mapping[str, str]) -> dict[str, Quantity]:
    for resource in amounts:
        check_key(option, resource)
    return {resource: _quantity(f"{option}.{resource}", resource, text) for resource, text in amounts.items()}


def _quantity(option: str, resource: str, text: str) -> Quantity:
    return Quantity.of_cpu(option, text) if resource == "cpu" else Quantity.of_bytes(option, text)


def _render(amounts: Mapping[str, str]) -> dict[str, k8s.Quantity] | None:
    quantities = {resource: str(_quantity(resource, resource, text)) for resource, text in amounts.items()}
    return {resource: k8s.Quantity.from_string(text) for resource, text in quantities.items()} or None

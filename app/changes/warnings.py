"""What a change cannot do, what it loses, and what it opens, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.changes.differences import Difference, Field
from app.changes.manifests import Manifest
from constructs_lib.kubernetes.quantities import Quantity

_INSTANCE = "app.kubernetes.io/instance"
_HOLDS_DATA = ("PersistentVolumeClaim", "PersistentVolume")
_SOURCES = ("nfs", "csi", "hostPath")
_OPENS = ("Ingress", "HTTPRoute")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is to be known of a change before it is applied.

    Attributes:
        text: in words.
        grave: the API server refuses the change, runs are no longer served, or somebody new comes in.
    """

    text: str
    grave: bool = True


def warnings(difference: Difference, all_: Sequence[Difference]) -> list[Notice]:
    """Make the warnings of one difference, seen beside all others."""
    found = [Notice(text=text) for rule in _RULES for text in rule(difference, all_)]
    return [*found, *(Notice(text=text, grave=False) for text in _restarts(difference))]


def _immutable(difference: Difference, _: Sequence[Difference]) -> Iterator[str]:
    """Fields that the API server refuses to change.

    Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/ and the validation of each kind.
    """
    for field in difference.fields:
        reason = _reason(difference, field)
        if reason:
            yield f"{field.path}: {reason}"


def _reason(difference: Difference, field: Field) -> str:
    kind, path = difference.key.kind, field.path
    if kind == "Deployment" and path.startswith("spec.selector"):
        return "a Deployment's selector cannot be changed; delete the Deployment first, no run is lost by that"
    if kind == "ConfigMap" and difference.before.get("immutable") and path.startswith("data"):
        return "the ConfigMap is immutable; its name should have changed with its content"
    if kind == "PersistentVolume" and path.startswith(tuple(f"spec.{source}" for source in _SOURCES)):
        return "the source of a volume cannot be changed; docs/how-to/rebind.md has the way"
    if kind == "PersistentVolume" and path.startswith("spec.nodeAffinity") and field.before is not None:
        return "the node of a volume cannot be changed"
    return _reason_of_claim(difference, field) if kind == "PersistentVolumeClaim" else ""


def _reason_of_claim(difference: Difference, field: Field) -> str:
    if field.path.startswith("spec.resources"):
        return "a claim cannot shrink" if _shrinks(field) else _fixed(difference)
    return "a claim cannot be changed but for a larger size" if field.path.startswith("spec.") else ""


def _fixed(difference: Difference) -> str:
    """Whether a claim names its volume in the manifest: such a volume has one size, and so has the claim."""
    return "the size of a static volume is fixed" if "volumeName" in difference.after["spec"] else ""


def _shrinks(field: Field) -> bool:
    before, after = (_size(value) for value in (field.before, field.after))
    return after < before


def _size(value: Any) -> int:
    amounts = value if isinstance(value, dict) else {"storage": value}
    return int(Quantity.parse("size", str(amounts.get("storage", "0")), such_as="1Gi").amount)


def _lost(difference: Difference, all_: Sequence[Difference]) -> Iterator[str]:
    """Data and instances that are no longer in the manifests, or are another one from now on."""
    if difference.happens != "removed":
        return
    key = difference.key
    others = [each for each in all_ if each.happens == "added" and each.key.kind == key.kind]
    moved = next((each.key for each in others if each.key.name == key.name), None)
    renamed = next((each.key for each in others if _instance(each) == _instance(difference)), None)
    if key.kind in _HOLDS_DATA:
        stays = "it stays in the cluster with its runs, until somebody deletes it"
        to = moved or renamed
        yield f"{to} takes its place, without its runs; {stays}" if to else f"no instance has it any more; {stays}"
    elif key.kind == "Deployment":
        to = moved or renamed
        yield f"the server is gone from the manifests{f': {to} takes its place' if to else ''}"


def _instance(difference: Difference) -> str:
    manifest = difference.after or difference.before
    return str(manifest["metadata"].get("labels", {}).get(_INSTANCE))


def _opened(difference: Difference, _: Sequence[Difference]) -> Iterator[str]:
    """Ways in that were not there."""
    kind, name = difference.key.kind, difference.key.name
    type_ = difference.after.get("spec", {}).get("type")
    if difference.happens == "added" and kind == "Service" and type_ not in {None, "ClusterIP"}:
        yield f"the Service can be reached from outside the cluster: it is a {type_}"
    if difference.happens == "added" and kind in _OPENS:
        yield f"{kind} {name} opens the server to whoever reaches its controller"
    for field in difference.fields:
        if kind == "Service" and field.path == "spec.type" and field.after != "ClusterIP":
            yield f"the Service can be reached from outside the cluster: {field.before} becomes {field.after}"
        if kind == "NetworkPolicy" and field.path.startswith("spec.ingress") and field.after is not None:
            yield f"{field.path}: others than before may come in: {field.after}"


def _left_open(difference: Difference, _: Sequence[Difference]) -> Iterator[str]:
    """A login that is no longer in front of a server."""
    if difference.happens == "changed" and "login" in _containers(difference.before) - _containers(difference.after):
        yield "the login is gone: whoever reaches the server comes in without one"


def _containers(manifest: Manifest) -> set[str]:
    template = manifest["spec"].get("template", {}) if manifest["kind"] == "Deployment" else {}
    return {each["name"] for each in template.get("spec", {}).get("containers", [])}


def _restarts(difference: Difference) -> Iterator[str]:
    if difference.key.kind == "Deployment" and any(each.path.startswith("spec.template") for each in difference.fields):
        yield "the pod is replaced: requests fail for some seconds, running searches get their answers first"


_RULES = (_immutable, _lost, _opened, _left_open)

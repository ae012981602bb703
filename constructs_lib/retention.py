"""What keeps an object, and the runs behind it, when everything around it is removed."""

from __future__ import annotations

from collections.abc import Mapping

from constructs_lib.errors import require
from constructs_lib.labels import COMPONENT, STORAGE
from constructs_lib.names import check_annotations

RETENTION_ANNOTATIONS = {
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}
"""Argo CD and Flux leave the object alone when it goes out of their source, and when their application is deleted.

Sources: https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/ and
https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-garbage-collection
"""


def check_kept(annotations: Mapping[str, str]) -> None:
    """Refuse a user's annotations that would let go of what must be kept."""
    check_annotations("annotations", annotations)
    for key in RETENTION_ANNOTATIONS:
        remedy = "leave it out: it keeps the runs; other options of Argo CD and Flux are set on their application"
        require(key not in annotations, f"annotations[{key}]", annotations.get(key), remedy)


def retention_annotations(reason: str) -> dict[str, str]:
    """The annotations of an object that must outlive its server, the reason where `kubectl describe` shows it."""
    left_by = f"Left alone by Argo CD, by Flux and by kubectl delete -l {COMPONENT}!={STORAGE}: delete it by name."
    return {**RETENTION_ANNOTATIONS, "kubernetes.io/description": f"{reason} {left_by}"}

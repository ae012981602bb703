"""What keeps an object, and the runs behind it, when everything around it is removed."""

from __future__ import annotations

from constructs_lib.labels import COMPONENT, STORAGE

RETENTION_ANNOTATIONS = {
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}
"""Argo CD and Flux leave the object alone when it goes out of their source, and when their application is deleted.

Sources: https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/ and
https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-garbage-collection
"""


def retention_annotations(reason: str) -> dict[str, str]:
    """The annotations of an object that must outlive its server, the reason where `kubectl describe` shows it."""
    left_by = f"Left alone by Argo CD, by Flux and by kubectl delete -l {COMPONENT}!={STORAGE}: delete it by name."
    return {**RETENTION_ANNOTATIONS, "kubernetes.io/description": f"{reason} {left_by}"}

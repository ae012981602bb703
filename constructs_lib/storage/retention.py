"""Keeps an object, and the runs behind it, when everything around it is removed."""

from __future__ import annotations

from collections.abc import Mapping

from constructs_lib.errors import require
from constructs_lib.labels import COMPONENT, STORAGE

RETENTION_ANNOTATIONS = {
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}
"""Argo CD and Flux leave the object alone when it goes out of their source, and when their application is deleted.

Left there it would be a difference to Argo CD, which would synchronise again and again, but for the second one.

Sources: https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/, .../user-guide/compare-options/ and
https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-garbage-collection
"""

DESCRIPTION = "kubernetes.io/description"

_DELETING = ("argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/", "helm.sh/")
"""Prefixes of labels and annotations that can have an object deleted: as a hook, or to replace it by force."""

_WAVES = ("argocd.argoproj.io/sync-wave", "argocd.argoproj.io/hook", "helm.sh/hook")


def check_kept(option: str, given: Mapping[str, str]) -> None:
    """Reject labels or annotations with which Argo CD, Flux or Helm could delete an object that must be kept."""
    for key, value in given.items():
        remedy = "leave it out: it could delete the runs; options of Argo CD and Flux are set on their application"
        require(not key.startswith(_DELETING), f"{option}[{key}]", value, remedy)


def check_same_wave(option: str, annotations: Mapping[str, str]) -> None:
    """Reject annotations that put the server into another sync wave than its storage, which may wait for its pod."""
    for key in _WAVES:
        remedy = "leave it out: a claim can wait for its first pod, so both are in one sync wave (argo-cd#12840)"
        require(key not in annotations, f"{option}[{key}]", annotations.get(key), remedy)


def retention_annotations(reason: str) -> dict[str, str]:
    """Make the annotations of an object that must outlive its server; `kubectl describe` shows the reason."""
    left_by = f"Left alone by Argo CD, by Flux and by kubectl delete -l {COMPONENT}!={STORAGE}: delete it by name."
    return {**RETENTION_ANNOTATIONS, DESCRIPTION: f"{reason} {left_by}"}

"""Labels that every object carries, and the selector that never changes.

Source of the keys: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
"""

from __future__ import annotations

from collections.abc import Mapping

from constructs_lib.errors import require
from constructs_lib.kubernetes.names import check_labels
from constructs_lib.plus import kplus

COMPONENT = "app.kubernetes.io/component"
SERVER = "server"
STORAGE = "storage"
"""Component of objects that hold data, and of their namespace: the documented uninstall leaves it out."""


def common_labels(instance: str, component: str) -> dict[str, str]:
    """The labels of an instance's objects; of a server's pods, also their selector.

    A Deployment's selector is immutable, so nothing that can change belongs here: no version, no label of a user.
    """
    return {"app.kubernetes.io/name": "aim", "app.kubernetes.io/instance": instance, COMPONENT: component}


def check_extra_labels(labels: Mapping[str, str]) -> None:
    """Reject a user's labels that are invalid, or that would replace one that objects are found by."""
    check_labels("labels", labels)
    for key in (*common_labels("", ""), kplus.Pod.ADDRESS_LABEL):
        remedy = "leave it out: the instance is found by this label"
        require(key not in labels, f"labels[{key}]", labels.get(key), remedy)

"""Names and labels, by the rules of the oldest Kubernetes that the manifests are for (1.27).

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../labels/
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from constructs_lib.errors import check_text, require

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")

LONGEST_INSTANCE_NAME = 40
"""Longest instance name: leaves room for every suffix of a derived name within the 63 characters of a label."""

LONGEST_DEPLOYMENT_NAME = 242
"""Longest name of a Deployment: its ReplicaSets add `-` and up to 10 characters, and may have 253."""

MOST_BYTES = 48 * 1024
"""Most bytes of one set of annotations or variables.

Kubernetes takes 256 KiB of annotations an object, and `kubectl apply` keeps a copy of the whole object in one of them:
annotations of a Deployment count twice, those of its pod and its variables once.
"""


def check_namespace(option: str, value: str) -> None:
    """Reject a name that is no DNS-1123 label (Namespace)."""
    remedy = "write at most 63 lower-case letters, digits and '-', starting and ending with a letter or digit"
    require(isinstance(value, str) and _LABEL.fullmatch(value), option, value, remedy)


def check_container_name(option: str, value: str) -> None:
    """Reject a name that is no DNS-1123 label (container of a pod)."""
    check_namespace(option, value)


def check_service_name(option: str, value: str) -> None:
    """Reject a name that is no DNS-1035 label: until Kubernetes 1.36 the name of a Service starts with a letter."""
    remedy = (
        "write at most 63 lower-case letters, digits and '-', starting with a letter, ending with a letter or digit"
    )
    require(isinstance(value, str) and _SERVICE.fullmatch(value), option, value, remedy)


def check_instance_name(option: str, value: str) -> None:
    """Reject an instance name that its Service, or a name derived from it, could not carry."""
    check_service_name(option, value)
    remedy = f"write at most {LONGEST_INSTANCE_NAME} characters, so that the names derived from it fit"
    require(len(value) <= LONGEST_INSTANCE_NAME, option, value, remedy)


def check_object_name(option: str, value: str) -> None:
    """Reject a name that is no DNS-1123 subdomain (Deployment, PersistentVolume, PersistentVolumeClaim, Secret ...)."""
    remedy = "write at most 253 lower-case letters, digits, '-' and '.', starting and ending with a letter or digit"
    fits = isinstance(value, str) and len(value) <= 253 and _SUBDOMAIN.fullmatch(value)
    require(fits, option, value, remedy)


def check_deployment_name(option: str, value: str) -> None:
    """Reject a name that a Deployment, or its ReplicaSets, could not carry."""
    check_object_name(option, value)
    remedy = f"write at most {LONGEST_DEPLOYMENT_NAME} characters: its ReplicaSets add a hash, and may have 253"
    require(len(value) <= LONGEST_DEPLOYMENT_NAME, option, value, remedy)


def check_key(option: str, key: str) -> None:
    """Reject a text that is no key of a label or annotation."""
    prefix, slash, name = key.rpartition("/")
    fits = len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix) if slash else True
    remedy = "write a key as [dns.prefix/]name, the name at most 63 letters, digits, '-', '_' and '.'"
    require(fits and _LABEL_NAME.fullmatch(name), option, key, remedy)


def check_labels(option: str, labels: Mapping[str, str]) -> None:
    """Reject a mapping that the API server would not take as labels."""
    for key, value in labels.items():
        check_key(option, key)
        check_label_value(f"{option}[{key}]", value)


def check_label_value(option: str, value: str) -> None:
    """Reject a text that the API server would not take as the value of a label."""
    remedy = "write at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit"
    require(isinstance(value, str) and _LABEL_VALUE.fullmatch(value), option, value, remedy)


def check_annotations(option: str, annotations: Mapping[str, str]) -> None:
    """Reject a mapping that the API server would not take as annotations."""
    for key, value in annotations.items():
        check_key(option, key)
        require(isinstance(value, str), f"{option}[{key}]", value, "write a text: annotations are nothing else")
        check_text(f"{option}[{key}]", value)
    check_bytes(option, annotations)


def check_bytes(option: str, texts: Mapping[str, str]) -> None:
    """Reject texts that together are more than an object of Kubernetes can hold."""
    size = sum(len(text.encode()) for pair in texts.items() for text in pair)
    remedy = f"write at most {MOST_BYTES // 1024} KiB together: kubectl apply keeps a copy of them in 256 KiB"
    require(size <= MOST_BYTES, option, f"{size} bytes", remedy)

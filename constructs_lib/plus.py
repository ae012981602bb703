"""The one door to cdk8s-plus, and to cdk8s where Node.js comes with the environment (`nodejs.py`).

cdk8s-plus-27 is at the end of its line (2.9.5, May 2024). Everything takes it from here, so that a newer line is a
change of this module and of snapshots. Charts that import from here move along.
"""

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import cdk8s
import cdk8s_plus_27 as kplus
from cdk8s_plus_27 import k8s
from constructs import Construct

__all__ = [
    "ADDRESS_LABEL",
    "cdk8s",
    "identity",
    "k8s",
    "kplus",
    "patch",
    "plain_object",
    "quantity",
    "remove_namespace",
]

ADDRESS_LABEL: str = kplus.Pod.ADDRESS_LABEL
"""Label by which cdk8s-plus finds the pods of a workload; read once, as each read is a message to Node.js."""


@functools.cache
def quantity(text: str) -> k8s.Quantity:
    """Make a Kubernetes quantity: where cdk8s-plus expects one, it writes `null` for a text.

    Made once for each text, as making one is a message to Node.js.
    """
    return k8s.Quantity.from_string(text)


# looked up once for each construct, and made once for each path, as each call is a message to Node.js and back
_api_object = functools.cache(cdk8s.ApiObject.of)
_removal = functools.cache(cdk8s.JsonPatch.remove)


def patch(
    construct: Construct, fields: Mapping[str, object] = MappingProxyType({}), *, without: Sequence[str] = ()
) -> None:
    """Set and remove fields of the object that a construct renders, where cdk8s-plus has no words for them.

    Args:
        construct: has one API object.
        fields: values by JSON pointer; what they are below must be there.
        without: JSON pointers of fields that cdk8s-plus writes; they must be there.
    """
    patches = [cdk8s.JsonPatch.add(path, value) for path, value in fields.items()] + [
        _removal(path) for path in without
    ]
    if patches:
        _api_object(construct).add_json_patch(*patches)


def identity(value: object) -> str:
    """What tells an object in Node.js from all others: jsii gives out another Python object for it each time."""
    return str(value.__jsii_ref__.ref)  # type: ignore[attr-defined]  # jsii has no public name for it


def remove_namespace(resource: kplus.Resource) -> None:
    """Remove the chart's namespace from an object that has none: cdk8s gives it to each (cdk8s-team/cdk8s#1558)."""
    patch(resource, without=["/metadata/namespace"])


def plain_object(
    scope: Construct,
    id: str,
    api_version: str,
    kind: str,
    *,
    metadata: cdk8s.ApiObjectMetadata,
    spec: Mapping[str, object],
) -> cdk8s.ApiObject:
    """Make an object of a kind that cdk8s-plus does not know, or can express in parts only."""
    made = cdk8s.ApiObject(scope, id, api_version=api_version, kind=kind, metadata=metadata)
    made.add_json_patch(cdk8s.JsonPatch.add("/spec", spec))
    return made

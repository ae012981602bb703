"""The one door to cdk8s-plus.

cdk8s-plus-27 is at the end of its line (2.9.5, May 2024). Everything takes it from here, so that a newer line is a
change of this module and of snapshots. Charts that import from here move along.
"""

import functools
from collections.abc import Mapping

import cdk8s
import cdk8s_plus_27 as kplus
from cdk8s_plus_27 import k8s
from constructs import Construct

__all__ = ["ADDRESS_LABEL", "k8s", "kplus", "plain_object", "quantity", "remove_namespace"]

ADDRESS_LABEL: str = kplus.Pod.ADDRESS_LABEL
"""Label by which cdk8s-plus finds the pods of a workload; read once, as each read is a message to Node.js."""


@functools.cache
def quantity(text: str) -> k8s.Quantity:
    """Make a Kubernetes quantity: where cdk8s-plus expects one, it writes `null` for a text.

    Made once for each text, as making one is a message to Node.js.
    """
    return k8s.Quantity.from_string(text)


def remove_namespace(resource: kplus.Resource) -> None:
    """Remove the chart's namespace from an object that has none: cdk8s gives it to each (cdk8s-team/cdk8s#1558)."""
    cdk8s.ApiObject.of(resource).add_json_patch(cdk8s.JsonPatch.remove("/metadata/namespace"))


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

"""The one door to cdk8s-plus.

cdk8s-plus-27 is at the end of its line (2.9.5, May 2024). Everything takes it from here, so that a newer line is a
change of this module and of snapshots. Charts that import from here move along.
"""

import cdk8s
import cdk8s_plus_27 as kplus
from cdk8s_plus_27 import k8s

__all__ = ["k8s", "kplus", "remove_namespace"]


def remove_namespace(resource: kplus.Resource) -> None:
    """Remove the chart's namespace from an object that has none: cdk8s gives it to each (cdk8s-team/cdk8s#1558)."""
    cdk8s.ApiObject.of(resource).add_json_patch(cdk8s.JsonPatch.remove("/metadata/namespace"))

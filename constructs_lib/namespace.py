"""`AimNamespace`: the namespace of an instance, for who has none yet."""

from __future__ import annotations

import cdk8s
from constructs import Construct

from constructs_lib.errors import reported_by, require
from constructs_lib.labels import COMPONENT, STORAGE
from constructs_lib.names import check_namespace
from constructs_lib.ownership import Ownership
from constructs_lib.plus import kplus, leave_namespace_out
from constructs_lib.retention import retention_annotations


class AimNamespace(Construct):
    """The chart's namespace, enforcing Pod Security "restricted".

    It is kept like the storage: deleting a namespace deletes the claims in it. One namespace has one owner, so make it
    in one chart only.

    Attributes:
        namespace: the Namespace.
    """

    namespace: kplus.Namespace

    def __init__(self, scope: Construct, id: str) -> None:
        """Make the namespace.

        Args:
            scope: a chart with a namespace, or a construct in one.
            id: of this construct; no name in the cluster comes from it.

        Raises:
            OptionError: the chart has no namespace, or one that the cluster itself owns (`default`, `kube-…`).
        """
        name = cdk8s.Chart.of(scope).namespace
        with reported_by(scope, id):
            require(name, "namespace", name, "give the chart the namespace to make")
            check_namespace("namespace", name or "")
            ours = name != "default" and not (name or "").startswith("kube-")
            require(ours, "namespace", name, "name another: the cluster owns this one, do not create it")
            ownership, things = Ownership.of(scope), {f"Namespace {name}": "namespace"}
            ownership.check(things, remedy="make it once, without createNamespace here")
        super().__init__(scope, id)
        ownership.take(things, self)
        self.namespace = kplus.Namespace(
            self,
            "Namespace",
            metadata=cdk8s.ApiObjectMetadata(
                name=name,
                labels={COMPONENT: STORAGE, "pod-security.kubernetes.io/enforce": "restricted"},
                annotations=retention_annotations("Deleting it deletes the claims on the runs."),
            ),
        )
        leave_namespace_out(self.namespace)

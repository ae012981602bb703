"""`AimNamespace`: the namespace of an instance, for sites that have none yet."""

from __future__ import annotations

import cdk8s
from constructs import Construct

from constructs_lib.errors import reported_by, require
from constructs_lib.kubernetes.names import check_namespace
from constructs_lib.labels import COMPONENT, STORAGE
from constructs_lib.plus import kplus, remove_namespace
from constructs_lib.registry import Entry, check_free, take
from constructs_lib.storage.retention import retention_annotations

_TAKEN = "it is already made by {owner}; make it once, without create_namespace here"


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
            allowed = name != "default" and not (name or "").startswith("kube-")
            require(allowed, "namespace", name, "name another: the cluster owns this one, do not create it")
            entry = Entry(kind="Namespace", name=name or "", option="namespace", taken=_TAKEN)
            check_free(scope, [entry])
        super().__init__(scope, id)
        take(scope, [entry], owner=self)
        self.namespace = kplus.Namespace(
            self,
            "Namespace",
            metadata=cdk8s.ApiObjectMetadata(
                name=name,
                labels={COMPONENT: STORAGE, "pod-security.kubernetes.io/enforce": "restricted"},
                annotations=retention_annotations("Deleting it deletes the claims on the runs."),
            ),
        )
        remove_namespace(self.namespace)

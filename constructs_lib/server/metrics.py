"""Metrics of the server, for Prometheus: who may ask for them, and how they are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cdk8s
from constructs import Construct

from constructs_lib.access.network import NetworkRules
from constructs_lib.access.peers import Peer
from constructs_lib.errors import below
from constructs_lib.kubernetes.names import check_labels
from constructs_lib.options import check_bounds, indexed
from constructs_lib.plus import kplus

METRICS = "metrics"
"""Name of the port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsOptions:
    """Metrics for Prometheus, at `/metrics` of the pod's port `metrics`, 43801. `{}` is all there is to write."""

    allow_from: Sequence[Peer] = ()
    """Who may ask besides the pods of the same namespace, such as those of Prometheus. Default: nobody."""
    pod_monitor: bool = False
    """Make a PodMonitor, by which the Prometheus operator finds the pod; its CRD must be there. Default: false."""
    pod_monitor_labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels of the PodMonitor, by which a Prometheus chooses it, such as `release: prometheus`. Default:
    none."""

    def check(self) -> None:
        """Reject faulty peers and labels.

        Raises:
            OptionError: names the option.
        """
        check_bounds(self)
        for peer, where in indexed("allow_from", self.allow_from):
            with below(where):
                peer.check()
        check_labels("pod_monitor_labels", self.pod_monitor_labels)


def admit_metrics(scope: Construct, *, options: MetricsOptions, rules: NetworkRules, port: int) -> None:
    """Let the pods of the same namespace, and whom the options name, ask for metrics."""
    peers = [peer.render(scope, f"Metrics-{where}") for peer, where in indexed("allow_from", options.allow_from)]
    rules.allow_from(port, [kplus.Pods.all(scope, "MetricsFrom"), *peers])


def make_pod_monitor(
    scope: Construct, *, options: MetricsOptions, metadata: cdk8s.ApiObjectMetadata, selector: Mapping[str, str]
) -> None:
    """Make the PodMonitor, where one is asked for."""
    if not options.pod_monitor:
        return
    kind = {"api_version": "monitoring.coreos.com/v1", "kind": "PodMonitor"}
    monitor = cdk8s.ApiObject(scope, "PodMonitor", metadata=metadata, **kind)
    for key, value in options.pod_monitor_labels.items():
        monitor.metadata.add_label(key, value)
    endpoints = [{"port": METRICS, "path": "/metrics"}]
    spec = {"selector": {"matchLabels": dict(selector)}, "podMetricsEndpoints": endpoints}
    monitor.add_json_patch(cdk8s.JsonPatch.add("/spec", spec))

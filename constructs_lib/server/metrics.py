"""Metrics of the server, for Prometheus: who may ask for them, and how they are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cdk8s
from constructs import Construct

from constructs_lib.access.network import NetworkRules
from constructs_lib.access.peers import Peer
from constructs_lib.errors import below
from constructs_lib.kubernetes.names import check_labels
from constructs_lib.options import check_declared, indexed
from constructs_lib.plus import kplus, plain_object
from constructs_lib.server.alerts import AlertOptions, rule_groups
from constructs_lib.server.dashboard import DashboardOptions, dashboard, dashboard_name

METRICS = "metrics"
"""Name of the port."""

TRACKING_HEALTH = "tracking-health"
"""Name of the port of the tracking server's supervisor, which has metrics of its own."""


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
    alerts: AlertOptions | None = field(default=None, metadata={"bare": True})
    """Make a PrometheusRule with alerts: `alerts: {}`; the CRD of the Prometheus operator must be there. Default:
    none."""
    dashboard: DashboardOptions | None = field(default=None, metadata={"bare": True})
    """Make a ConfigMap with a dashboard, which the sidecar of Grafana's chart finds: `dashboard: {}`. Default: none."""

    def check(self) -> None:
        """Reject faulty peers and labels.

        Raises:
            OptionError: names the option.
        """
        check_declared(self)
        for peer, where in indexed("allow_from", self.allow_from):
            with below(where):
                peer.check()
        check_labels("pod_monitor_labels", self.pod_monitor_labels)
        for name in ("alerts", "dashboard"):
            with below(name):
                if getattr(self, name):
                    getattr(self, name).check()


class Metrics(Construct):
    """What makes the metrics of a server be asked for: network rules, and objects that others read."""

    def __init__(
        self, scope: Construct, id: str, *, options: MetricsOptions, rules: NetworkRules, selector: Mapping[str, str]
    ) -> None:
        """Take what the objects are made of.

        Args:
            scope: the server.
            id: of this construct.
            options: who may ask, and which objects are made.
            rules: of the server's pod.
            selector: labels of the pod.
        """
        super().__init__(scope, id)
        self._options, self._rules, self._selector = options, rules, selector
        where = indexed("allow_from", options.allow_from)
        peers = [peer.render(self, f"Metrics-{name}") for peer, name in where]
        self._peers = [kplus.Pods.all(self, "MetricsFrom"), *peers]

    def admit(self, port: int) -> None:
        """Let the pods of the same namespace, and whom the options name, ask at a port."""
        self._rules.allow_from(port, self._peers)

    def make_objects(self, name: str, deployment: str, metadata: Callable[..., cdk8s.ApiObjectMetadata]) -> None:
        """Make those objects that the options ask for.

        Args:
            name: of the instance.
            deployment: name of the Deployment, by which the series of its pods are found.
            metadata: makes the metadata of an object of a name, with annotations.
        """
        options, namespace = self._options, cdk8s.Chart.of(self).namespace
        if options.pod_monitor:
            self._make("PodMonitor", metadata(deployment), options.pod_monitor_labels, self._pod_monitor())
        if options.alerts:
            groups = rule_groups(name, deployment, namespace, options.alerts)
            self._make("PrometheusRule", metadata(deployment), options.alerts.labels, {"groups": groups})
        if options.dashboard:
            object_name, text = dashboard_name(name), dashboard(name, deployment, namespace)
            described = metadata(object_name, options.dashboard.annotations)
            made = kplus.ConfigMap(self, "Dashboard", metadata=described, data={f"{object_name}.json": text})
            for key, value in options.dashboard.labels.items():
                made.metadata.add_label(key, value)

    def _pod_monitor(self) -> dict[str, Any]:
        # a pod without tracking has no port of that name: no target is made of it
        endpoints = [{"port": port, "path": "/metrics"} for port in (METRICS, TRACKING_HEALTH)]
        return {"selector": {"matchLabels": dict(self._selector)}, "podMetricsEndpoints": endpoints}

    def _make(
        self, kind: str, metadata: cdk8s.ApiObjectMetadata, labels: Mapping[str, str], spec: dict[str, Any]
    ) -> None:
        made = plain_object(self, kind, "monitoring.coreos.com/v1", kind, metadata=metadata, spec=spec)
        for key, value in labels.items():
            made.metadata.add_label(key, value)

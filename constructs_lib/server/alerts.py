"""Alerts on the metrics of a server, as the Prometheus operator takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Interval

from constructs_lib.kubernetes.names import check_labels
from constructs_lib.options import Count, Seconds, check_declared


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertOptions:
    """From when on an alert fires; 0 leaves the alert out. `{}` is all there is to write."""

    volume_free_percent: Annotated[int, Interval(ge=0, le=99)] = 10
    """AimVolumeFilling: less of the volume of runs is free. Default: 10."""
    backup_age_seconds: Seconds = 26 * 3600
    """AimBackupTooOld: no backup has succeeded for so long. An instance without backups has no such metric, and no such
    alert. Default: 93600, 26 hours."""
    drill_age_seconds: Seconds = 8 * 86400
    """AimDrillFailed: the last drill found runs that cannot be read, or none has ended for so long, from the first
    backup on. Default: 691200, eight days."""
    index_lag_seconds: Seconds = 600
    """AimIndexStuck: a run waits for so long to be indexed, and searches do not find it. Default: 600."""
    refused_per_minute: Count = 60
    """AimRequestsRefused: so many requests a minute are refused by one guard. Default: 60."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels of the PrometheusRule, by which a Prometheus chooses it, such as `release: prometheus`. Default:
    none."""

    def check(self) -> None:
        """Reject numbers and labels that cannot be."""
        check_declared(self)
        check_labels("labels", self.labels)


def selector(deployment: str, namespace: str | None) -> str:
    """Select the series of a server's pods, by the labels that every discovery of pods gives them."""
    place = f'namespace="{namespace}",' if namespace else ""
    return f'{{{place}pod=~"{deployment}-[a-z0-9]+-[a-z0-9]+"}}'


def rule_groups(name: str, deployment: str, namespace: str | None, options: AlertOptions) -> list[dict[str, Any]]:
    """Make the groups of a PrometheusRule, or of a rule file of Prometheus.

    Args:
        name: of the instance.
        deployment: name of its Deployment.
        namespace: of it; None where it is not known.
        options: from when on each alert fires.
    """
    rules = [*_rules(selector(deployment, namespace), f"{namespace}/{name}" if namespace else name, options)]
    return [{"name": f"aim.{name}", "rules": rules}]


def _rules(which: str, instance: str, options: AlertOptions) -> Iterator[dict[str, Any]]:
    if options.volume_free_percent:
        yield _volume_filling(which, instance, options.volume_free_percent)
    if options.backup_age_seconds:
        yield _backup_too_old(which, instance, options.backup_age_seconds)
    if options.drill_age_seconds:
        yield _drill_failed(which, instance, options.drill_age_seconds)
    if options.index_lag_seconds:
        yield _index_stuck(which, instance, options.index_lag_seconds)
    if options.refused_per_minute:
        yield _requests_refused(which, instance, options.refused_per_minute)


def _newest(metric: str, which: str) -> str:
    return f"max by (namespace) ({metric}{which})"


def _age(metric: str, otherwise: str, which: str) -> str:
    """Seconds since a moment, or since another one where there is none yet."""
    return f"time() - ({_newest(metric, which)} or {_newest(otherwise, which)})"


def _volume_filling(which: str, instance: str, percent: int) -> dict[str, Any]:
    free = f"100 * min by (namespace) (aim_volume_free_bytes{which} / aim_volume_size_bytes{which})"
    text = f'{{{{ $value | printf "%.1f" }}}} % of the volume of runs of {instance} are free'
    return _rule("AimVolumeFilling", f"{free} < {percent}", text, minutes=15, severity="critical")


def _backup_too_old(which: str, instance: str, seconds: int) -> dict[str, Any]:
    # where none has succeeded yet, the first one that was tried counts
    age = _age("aim_backup_last_success_timestamp_seconds", "aim_backup_tried_timestamp_seconds", which)
    text = f"no backup of {instance} has succeeded for {{{{ $value | humanizeDuration }}}}"
    # nor is one of a node whose clock was ahead a success of now
    return _rule("AimBackupTooOld", f"abs({age}) > {seconds}", text, minutes=5, severity="critical")


def _drill_failed(which: str, instance: str, seconds: int) -> dict[str, Any]:
    # where none has ended yet, the first backup counts
    age = _age("aim_drill_timestamp_seconds", "aim_backup_first_success_timestamp_seconds", which)
    text = f"the last restore drill of {instance} has failed, or is too old: see the logs of its Jobs"
    expression = f"{_newest('aim_drill_succeeded', which)} == 0 or {age} > {seconds}"
    return _rule("AimDrillFailed", expression, text, minutes=5, severity="critical")


def _index_stuck(which: str, instance: str, seconds: int) -> dict[str, Any]:
    text = f"a run of {instance} waits for {{{{ $value | humanizeDuration }}}} to be indexed"
    expression = f"{_newest('aim_index_lag_seconds', which)} > {seconds}"
    return _rule("AimIndexStuck", expression, text, minutes=5, severity="warning")


def _requests_refused(which: str, instance: str, most: int) -> dict[str, Any]:
    rate = f"60 * sum by (namespace, cause) (rate(aim_refused_requests_total{which}[5m]))"
    text = f'{instance} refuses {{{{ $value | printf "%.0f" }}}} requests a minute: {{{{ $labels.cause }}}}'
    return _rule("AimRequestsRefused", f"{rate} > {most}", text, minutes=5, severity="warning")


def _rule(alert: str, expression: str, text: str, *, minutes: int, severity: str) -> dict[str, Any]:
    return {
        "alert": alert,
        "expr": expression,
        "for": f"{minutes}m",
        "labels": {"severity": severity},
        "annotations": {"summary": text},
    }

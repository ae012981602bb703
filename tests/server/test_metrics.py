"""What makes the metrics of a server be asked for, and alerts that fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cdk8s
import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from constructs_lib import AlertOptions, DashboardOptions, MetricsOptions, OptionError
from constructs_lib.server.alerts import rule_groups
from constructs_lib.supervisor.metrics import HELP
from tests.harness.building import aim_server, dynamic, rendered
from tests.harness.sandbox import skip

POD = '{namespace="ml", pod="aim-5d8f7c9b6-x2x7k"}'
OTHER = '{namespace="ml", pod="aim-2-5d8f7c9b6-x2x7k"}'
NOW = 3600
"""Seconds after which the alerts are asked for; what was days ago was before the epoch."""


def test_everything_that_reads_metrics(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """PodMonitor, alerts and dashboard are objects; both supervisors' ports are open to the same namespace."""
    metrics = MetricsOptions(pod_monitor=True, alerts=AlertOptions(), dashboard=DashboardOptions())
    aim_server(chart, "server", storage=dynamic(chart), metrics=metrics).add_tracking()
    assert chart == difference


def rules(**options: Any) -> dict[str, dict[str, Any]]:
    """The rules of an instance by the names of their alerts."""
    (group,) = rule_groups("aim", "aim", "ml", AlertOptions(**options))
    return {rule["alert"]: rule for rule in group["rules"]}


def test_an_alert_is_left_out() -> None:
    """With 0, each of them."""
    options = ("volume_free_percent", "backup_age_seconds", "drill_age_seconds", "index_lag_seconds")
    for option, alert in zip((*options, "refused_per_minute"), rules(), strict=True):
        assert rules().keys() - rules(**{option: 0}).keys() == {alert}


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(chart: cdk8s.Chart) -> None:
    """Of a name that the supervisor does not tell, an alert would never fire."""
    metrics = MetricsOptions(alerts=AlertOptions(), dashboard=DashboardOptions())
    aim_server(chart, "server", storage=dynamic(chart), metrics=metrics)
    (dashboard,) = [json.loads(text) for text in dashboard_of(chart).values()]
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [rule["expr"] for group in rendered(chart, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]]
    assert {name for text in asked for name in re.findall(r"aim_\w+", text)} <= HELP.keys()


def dashboard_of(chart: cdk8s.Chart) -> dict[str, str]:
    """The data of the ConfigMap that Grafana's sidecar finds."""
    maps = [each for each in cdk8s.Testing.synth(chart) if each["kind"] == "ConfigMap"]
    (found,) = [each["data"] for each in maps if each["metadata"]["labels"].get("grafana_dashboard") == "1"]
    return dict(found)


CASES: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("AimVolumeFilling", {"aim_volume_free_bytes": "9", "aim_volume_size_bytes": "100"}, {}),
    ("AimBackupTooOld", {"aim_backup_last_success_timestamp_seconds": str(NOW - 27 * 3600)}, {}),
    ("AimBackupTooOld", {"aim_backup_last_success_timestamp_seconds": str(NOW + 27 * 3600)}, {}),
    ("AimBackupTooOld", {"aim_backup_tried_timestamp_seconds": str(NOW - 27 * 3600)}, {}),
    ("AimDrillFailed", {"aim_drill_succeeded": "0", "aim_drill_timestamp_seconds": str(NOW - 60)}, {}),
    ("AimDrillFailed", {"aim_drill_succeeded": "1", "aim_drill_timestamp_seconds": str(NOW - 9 * 86400)}, {}),
    ("AimDrillFailed", {"aim_backup_first_success_timestamp_seconds": str(NOW - 9 * 86400)}, {}),
    ("AimIndexStuck", {"aim_index_lag_seconds": "601"}, {}),
    ("AimRequestsRefused", {'aim_refused_requests_total{cause="origin"}': "0+61x100"}, {"cause": "origin"}),
]
"""Alert, series that make it fire, and labels that it has of them."""

WELL = {
    "aim_volume_free_bytes": "11",
    "aim_volume_size_bytes": "100",
    "aim_backup_tried_timestamp_seconds": str(NOW - 27 * 3600),
    "aim_backup_first_success_timestamp_seconds": str(NOW - 30 * 86400),
    "aim_backup_last_success_timestamp_seconds": str(NOW - 25 * 3600),
    "aim_drill_succeeded": "1",
    "aim_drill_timestamp_seconds": str(NOW - 7 * 86400),
    "aim_index_lag_seconds": "599",
    'aim_refused_requests_total{cause="origin"}': "0+59x100",
}
"""Of a server with which all is well."""


def series(values: dict[str, str], pod: str) -> list[dict[str, str]]:
    """Series of a pod, as promtool reads them: one sample a minute."""
    named = {name: text if "x" in text else f"{text}+0x100" for name, text in values.items()}
    return [
        {"series": f"{name[:-1]}, {pod[1:]}" if "{" in name else f"{name}{pod}", "values": text}
        for name, text in named.items()
    ]


@pytest.fixture
def promtool(tmp_path: Path) -> Path:
    """A folder with the rule file; of Debian's package prometheus is the program that tests it."""
    if not shutil.which("promtool"):
        skip("no promtool on PATH: Debian's package prometheus has it")
    groups = {"groups": rule_groups("aim", "aim", "ml", AlertOptions())}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(groups), encoding="utf-8")
    return tmp_path


def told(*arguments: object) -> str:
    """What promtool says; fails where it finds something."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def firing(values: dict[str, str], pod: str, alert: str, labels: dict[str, str] | None) -> dict[str, Any]:
    """A test for promtool: whether an alert fires after a time, with these labels or, for None, not at all."""
    rule = rules()[alert]
    expected = []
    if labels is not None:
        expected = [{"exp_labels": {"severity": rule["labels"]["severity"], "namespace": "ml", **labels}}]
    return {
        "interval": "1m",
        "input_series": series(values, pod),
        "alert_rule_test": [{"eval_time": f"{NOW}s", "alertname": alert, "exp_alerts": expected}],
    }


def test_promtool_takes_the_rules(promtool: Path) -> None:
    """As it takes those of Prometheus itself."""
    assert "SUCCESS: 5 rules found" in told("check", "rules", promtool / "rules.yaml")


def test_each_alert_fires_when_it_should_and_only_then(promtool: Path) -> None:
    """By Prometheus' own evaluation: for this instance's pod, not for another's, and not while all is well."""
    cases = [firing(values, OTHER, alert, None) for alert, values, _ in CASES]
    cases += [firing(WELL, POD, alert, None) for alert in rules()]
    cases += [firing(values, POD, alert, labels) for alert, values, labels in CASES]
    for case in cases:
        for each in case["alert_rule_test"][0]["exp_alerts"]:
            each["exp_annotations"] = what_it_says(case)
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": cases}
    (promtool / "tests.yaml").write_text(yaml.safe_dump(tests), encoding="utf-8")
    told("test", "rules", promtool / "tests.yaml")


def what_it_says(case: dict[str, Any]) -> dict[str, str]:
    """What a case's alert says."""
    return {"summary": SUMMARIES[case["alert_rule_test"][0]["alertname"]]}


SUMMARIES = {
    "AimVolumeFilling": "9.0 % of the volume of runs of ml/aim are free",
    "AimBackupTooOld": "no backup of ml/aim has succeeded for 1d 3h 0m 0s",
    "AimDrillFailed": "the last restore drill of ml/aim has failed, or is too old: see the logs of its Jobs",
    "AimIndexStuck": "a run of ml/aim waits for 10m 1s to be indexed",
    "AimRequestsRefused": "ml/aim refuses 61 requests a minute: origin",
}
"""What people read."""


@pytest.mark.parametrize(
    ("options", "option"),
    [
        (MetricsOptions(alerts=AlertOptions(volume_free_percent=100)), "metrics.alerts.volume_free_percent"),
        (MetricsOptions(alerts=AlertOptions(labels={"a b": "c"})), "metrics.alerts.labels"),
        (MetricsOptions(dashboard=DashboardOptions(labels={"a b": "c"})), "metrics.dashboard.labels"),
    ],
)
def test_what_cannot_be_is_refused(chart: cdk8s.Chart, options: MetricsOptions, option: str) -> None:
    """The option is named."""
    with pytest.raises(OptionError) as error:
        aim_server(chart, "server", storage=dynamic(chart), metrics=options)
    assert error.value.option.startswith(option)

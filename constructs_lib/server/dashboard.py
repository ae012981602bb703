"""A dashboard of Grafana for one server: what its metrics have been."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from constructs_lib.kubernetes.names import check_annotations, check_labels
from constructs_lib.options import check_declared
from constructs_lib.server.alerts import selector

_PANELS: Sequence[tuple[str, str, Mapping[str, str]]] = (
    ("State", "short", {"{{{{state}}}}": "aim_state{}"}),
    ("Runs", "short", {"all": "aim_runs{}", "running": "aim_runs_running{}", "in the trash": "aim_trash_runs{}"}),
    ("Runs that wait to be indexed", "short", {"runs": "aim_runs_waiting{}", "unreadable": "aim_runs_unreadable{}"}),
    ("Lag of the index", "s", {"longest wait": "aim_index_lag_seconds{}"}),
    ("Age of the last change in the index", "s", {"age": "time() - aim_index_changed_timestamp_seconds{}"}),
    (
        "Requests refused a minute",
        "short",
        {"{{{{container}}}} {{{{cause}}}}": "60 * rate(aim_refused_requests_total{}[5m])"},
    ),
    ("Volume", "bytes", {"used": "aim_volume_used_bytes{}", "free": "aim_volume_free_bytes{}"}),
    ("Age of the last backup", "s", {"age": "time() - aim_backup_last_success_timestamp_seconds{}"}),
    (
        "Runs in the last backup, and in the last drill",
        "short",
        {"backup": "aim_backup_runs{}", "drill": "aim_drill_runs{}"},
    ),
    ("Last drill: 1 is success", "short", {"succeeded": "aim_drill_succeeded{}"}),
    ("Workers replaced an hour", "short", {"{{{{cause}}}}": "increase(aim_worker_restarts_total{}[1h])"}),
    ("Waits for the lock an hour", "short", {"{{{{pod}}}}": "increase(aim_lock_waits_total{}[1h])"}),
)
"""Title, unit, and expressions by their legends; `{}` stands for the selector of the series."""

_COLUMNS, _HEIGHT = 3, 7
_LABELS = {"grafana_dashboard": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardOptions:
    """A ConfigMap with a dashboard of the instance. `{}` is all there is to write."""

    labels: Mapping[str, str] = field(default_factory=lambda: dict(_LABELS))
    """Labels by which the sidecar of Grafana finds it. Default: `grafana_dashboard: "1"`, that of Grafana's chart."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations, such as `grafana_folder: ML`. Default: none."""

    def check(self) -> None:
        """Reject labels and annotations that cannot be."""
        check_declared(self)
        check_labels("labels", self.labels)
        check_annotations("annotations", self.annotations)


def dashboard_name(name: str) -> str:
    """Name of the ConfigMap of an instance."""
    return f"{name}-dashboard"


def dashboard(name: str, deployment: str, namespace: str | None) -> str:
    """Make the dashboard, as Grafana imports it.

    Args:
        name: of the instance.
        deployment: name of its Deployment.
        namespace: of it; None where it is not known.
    """
    instance, which = f"{namespace}/{name}" if namespace else name, selector(deployment, namespace)
    content = {
        # at most 40 characters, and the same in every synthesis
        "uid": f"aim-{hashlib.sha256(instance.encode()).hexdigest()[:16]}",
        "title": f"Aim {instance}",
        "tags": ["aim"],
        "schemaVersion": 39,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(number, *panel, which) for number, panel in enumerate(_PANELS)],
    }
    return json.dumps(content, indent=1) + "\n"


def _panel(number: int, title: str, unit: str, expressions: Mapping[str, str], which: str) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    width = 24 // _COLUMNS
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "gridPos": {"x": column * width, "y": row * _HEIGHT, "w": width, "h": _HEIGHT},
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "legendFormat": legend.format(), "expr": text.replace("{}", which)}
            for index, (legend, text) in enumerate(expressions.items())
        ],
    }

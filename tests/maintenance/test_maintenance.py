"""What chores render, and what they refuse."""

from __future__ import annotations

from typing import Any

import cdk8s
import pytest
from syrupy.assertion import SnapshotAssertion

from constructs_lib import (
    AimMaintenance,
    CloseChore,
    DynamicVolume,
    EmptyTrashChore,
    MaintenanceOptions,
    OptionError,
    PruneChore,
    ReportChore,
)
from tests.harness.building import aim_server, aim_storage, dynamic, serve, storage
from tests.harness.manifest_rules import Manifest, pod_template

CHORES = ["report", "close", "prune", "reindex", "recompute", "empty-trash", "undelete"]


def jobs(chart: cdk8s.Chart, **options: Any) -> dict[str, Manifest]:
    """The CronJobs, by the names of their chores."""
    maintenance = AimMaintenance(chart, "chores", storage=storage(chart), options=MaintenanceOptions(**options))
    found = {m["metadata"]["name"]: m for m in cdk8s.Testing.synth(chart) if m["kind"] == "CronJob"}
    return {name: found[f"aim-{name}"] for name in maintenance.chores}


def test_chores_beside_a_server(chart: cdk8s.Chart, manifests: SnapshotAssertion) -> None:
    """The whole of it, of a volume that can be on one node only."""
    source = dynamic(chart)
    server = aim_server(chart, "server", storage=source)
    AimMaintenance(chart, "maintenance", storage=source, supervisor=server.supervisor)
    assert chart == manifests


def test_chores_wait_for_somebody_and_change_nothing_by_default(chart: cdk8s.Chart) -> None:
    """Suspended, and dry runs: what is deleted, is deleted because somebody has said so."""
    made = jobs(chart)
    assert list(made) == CHORES
    assert all(job["spec"]["suspend"] for job in made.values())
    assert not [name for name, job in made.items() if "--apply" in command(job)]
    assert all(job["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0 for job in made.values())


def command(job: Manifest) -> list[str]:
    """The command of the one container."""
    (container,) = (pod_template(job) or {})["spec"]["containers"]
    return list(container["command"])


def test_a_schedule_wakes_a_chore(chart: cdk8s.Chart) -> None:
    """Only that one; what it is told is in its command."""
    made = jobs(chart, empty_trash=EmptyTrashChore(schedule="@daily", dry_run=False, older_than_days=7))
    awake = {name for name, job in made.items() if not job["spec"]["suspend"]}
    assert awake == {"empty-trash"}
    assert made["empty-trash"]["spec"]["schedule"] == "@daily"
    assert command(made["empty-trash"])[-3:] == ["--older-than", str(7 * 24 * 3600), "--apply"]


def test_the_longest_name_of_an_instance_leaves_room_for_that_of_a_chore(chart: cdk8s.Chart) -> None:
    """The name of a CronJob has at most 52 characters."""
    AimMaintenance(chart, "chores", storage=storage(chart), name="a" * 40)
    names = [m["metadata"]["name"] for m in cdk8s.Testing.synth(chart) if m["kind"] == "CronJob"]
    assert max(map(len, names)) == 52


def test_nobody_reaches_the_pods_and_they_reach_nobody(chart: cdk8s.Chart) -> None:
    """No token is mounted either: a chore asks the server through the volume."""
    made = jobs(chart)
    (policy,) = [m["spec"] for m in cdk8s.Testing.synth(chart) if m["kind"] == "NetworkPolicy"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert not policy.keys() & {"ingress", "egress"}
    for job in made.values():
        template = pod_template(job) or {}
        assert template["metadata"]["labels"].items() >= policy["podSelector"]["matchLabels"].items()
        assert template["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"close": CloseChore(schedule="now and then")}, "close.schedule"),
        ({"report": ReportChore(schedule="")}, "report.schedule"),
        ({"prune": PruneChore(older_than_hours=-1)}, "prune.older_than_hours"),
        ({"empty_trash": EmptyTrashChore(older_than_days=-1)}, "empty_trash.older_than_days"),
        ({"report": CloseChore(dry_run=False)}, "report"),
        ({"close": None}, "close"),
        ({"close": CloseChore(dry_run="false")}, "close.dry_run"),  # type: ignore[arg-type]
        ({"time_zone": "a b"}, "time_zone"),
        ({"deadline_seconds": 1}, "deadline_seconds"),
    ],
)
def test_what_cannot_work_is_refused(chart: cdk8s.Chart, options: dict[str, Any], option: str) -> None:
    """The option is named."""
    with pytest.raises(OptionError) as error:
        jobs(chart, **options)
    assert error.value.option == option


def test_a_volume_of_one_pod_is_refused(chart: cdk8s.Chart) -> None:
    """Only the server's pod can have it mounted; the way out is named."""
    with pytest.raises(OptionError, match="kubectl exec") as error:
        AimMaintenance(chart, "chores", storage=storage(chart, access_mode="ReadWriteOncePod"))
    assert error.value.option == "access_mode"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"storage": "aim-runs"}, "storage: 'aim-runs': write an AimStorage"),
        ({"options": {}}, "options: 'a dict': write MaintenanceOptions"),
        ({"image": "aim:3"}, "image: 'aim:3': write ImageOptions"),
        ({"supervisor": True}, "supervisor: True: write the supervisor of a server"),
    ],
)
def test_a_value_of_another_type_is_refused(chart: cdk8s.Chart, given: dict[str, Any], message: str) -> None:
    """Before anything is made."""
    with pytest.raises(OptionError, match=f"^chart/chores: {message}"):
        AimMaintenance(chart, "chores", **{"storage": storage(chart), **given})
    assert chart.node.try_find_child("chores") is None


def test_a_supervisor_of_another_namespace_is_refused(chart: cdk8s.Chart, tree: cdk8s.App) -> None:
    """Its ConfigMaps would not be there."""
    elsewhere = serve(cdk8s.Chart(tree, "other", namespace="other")).supervisor
    with pytest.raises(OptionError, match="chart/chores: supervisor: 'ml': put both in one namespace: .*'other'"):
        AimMaintenance(chart, "chores", storage=storage(chart), supervisor=elsewhere)


def test_no_two_network_policies_have_one_name(chart: cdk8s.Chart) -> None:
    """The second one that is applied would open what the first has closed."""
    serve(chart, name="aim-maintenance")
    source = aim_storage(chart, "other", source=DynamicVolume(), size="1Gi", name="other")
    with pytest.raises(OptionError, match="name: 'NetworkPolicy ml/aim-maintenance': it is already made by"):
        AimMaintenance(chart, "chores", storage=source, name="aim")


def test_no_two_config_maps_have_one_name(chart: cdk8s.Chart) -> None:
    """Chores without a server's supervisor make one of their own; with the server's, they make none."""
    server = serve(chart, supervisor_name="aim-maintenance")
    with pytest.raises(OptionError, match="name: 'ConfigMap ml/aim-maintenance-.*': it is already made by chart/serv"):
        AimMaintenance(chart, "chores", storage=server.storage)
    AimMaintenance(chart, "chores", storage=server.storage, supervisor=server.supervisor)


def test_two_on_one_instance_are_refused(chart: cdk8s.Chart) -> None:
    """Their CronJobs would have one name."""
    source = storage(chart)
    AimMaintenance(chart, "chores", storage=source)
    with pytest.raises(OptionError, match="already made by chart/chores"):
        AimMaintenance(chart, "again", storage=source)

"""What never changes, as docs/reference/promises.md promises: each as it was first released, written out here by hand.

A change of one of these leaves a running server behind, or lets two servers into one store. So none of the literals
below may be adapted to the code.
"""

from __future__ import annotations

import re
from typing import Any

import cdk8s
import pytest

from constructs_lib import (
    AimBackup,
    AimNamespace,
    BackupOptions,
    BackupVolume,
    ExistingClaim,
    IngressOptions,
    KeyRef,
    ParentRef,
    RouteOptions,
)
from constructs_lib.supervisor.notes import BACKUP
from constructs_lib.supervisor.volume import LOCK
from tests.harness.building import aim_server, storage
from tests.harness.logins import by_password

SELECTOR = {
    "app.kubernetes.io/name": "aim",
    "app.kubernetes.io/instance": "aim",
    "app.kubernetes.io/component": "server",
}


@pytest.fixture
def manifests(chart: cdk8s.Chart) -> list[dict[str, Any]]:
    """An instance called aim in the namespace ml, with everything that has a name."""
    AimNamespace(chart, "namespace")
    aim_server(chart, "server", storage=storage(chart), base_path="/aim").add_tracking()
    return list(cdk8s.Testing.synth(chart))


def of_kind(manifests: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The one manifest of a kind."""
    (found,) = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found


def test_the_names_of_objects(manifests: list[dict[str, Any]]) -> None:
    """Another name is another object, beside the one that is there."""
    names = {manifest["kind"]: manifest["metadata"]["name"] for manifest in manifests}
    assert re.fullmatch(r"aim-supervisor-(\w+-)?[0-9a-f]{10}", names.pop("ConfigMap"))
    assert names == {
        "Namespace": "ml",
        "PersistentVolume": "ml.aim-runs",
        "PersistentVolumeClaim": "aim-runs",
        "Deployment": "aim",
        "Service": "aim",
        "NetworkPolicy": "aim",
    }


def test_the_selectors(manifests: list[dict[str, Any]]) -> None:
    """A Deployment's cannot be changed; and all three must find the pods of the version before."""
    assert of_kind(manifests, "Deployment")["spec"]["selector"] == {"matchLabels": SELECTOR}
    assert of_kind(manifests, "Service")["spec"]["selector"] == SELECTOR
    assert of_kind(manifests, "NetworkPolicy")["spec"]["podSelector"] == {"matchLabels": SELECTOR}


def test_the_labels_of_what_is_kept(manifests: list[dict[str, Any]]) -> None:
    """The documented uninstall leaves these out by this label."""
    kept = {m["kind"] for m in manifests if m["metadata"]["labels"]["app.kubernetes.io/component"] == "storage"}
    assert kept == {"Namespace", "PersistentVolume", "PersistentVolumeClaim"}


def test_the_lock_of_the_volume() -> None:
    """A server of the version before, and one of the next, wait for each other by this file."""
    assert LOCK == ".aim-server.lock"


def test_the_ports(manifests: list[dict[str, Any]]) -> None:
    """Of the Service, and of the containers behind it, which policies of others may name."""
    ports = of_kind(manifests, "Service")["spec"]["ports"]
    found = {port["name"]: (port["port"], port["targetPort"]) for port in ports}
    assert found == {"http": (80, 43800), "tracking": (53800, 53800)}


def test_the_command_lines_of_the_supervisor(manifests: list[dict[str, Any]]) -> None:
    """An image of an older version, whose supervisor the ConfigMap replaces, is started by what the manifests say."""
    web, tracking = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert " ".join(web["command"]) == (
        "python3 -m supervisor serve --repository /aim --port 43800 --health-port 43801 --workers 2 --base-path /aim"
    )
    assert " ".join(tracking["command"]) == (
        "python3 -m supervisor track --repository /aim --port 53800 --health-port 53801"
    )
    assert web["workingDir"] == tracking["workingDir"] == "/opt/aim-on-kubernetes"


def test_where_the_runs_are(manifests: list[dict[str, Any]]) -> None:
    """The repository is `.aim` in the folder that every pod mounts the volume at."""
    containers = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    mounts = [{m["mountPath"]: m["name"] for m in container["volumeMounts"]} for container in containers]
    assert [mount["/aim"] for mount in mounts] == ["aim-runs", "aim-runs"]


def test_what_a_login_and_an_exposure_are_called(chart: cdk8s.Chart) -> None:
    """Policies of others may name the login's port; another name of a cookie logs everybody out."""
    server = aim_server(chart, "server", storage=storage(chart), login=by_password())
    server.add_tracking()
    server.expose_via_ingress(IngressOptions(host="aim.example.com", default_certificate=True))
    server.expose_via_route(RouteOptions(hostnames=["aim.example.com"], parents=[ParentRef(name="gateway")]))
    manifests = list(cdk8s.Testing.synth(chart))
    assert {of_kind(manifests, kind)["metadata"]["name"] for kind in ("Ingress", "HTTPRoute")} == {"aim"}
    ports = {
        port["name"]: (port["port"], port["targetPort"]) for port in of_kind(manifests, "Service")["spec"]["ports"]
    }
    assert ports == {"http": (80, 4180), "tracking": (53800, 4180)}
    web, login, tracking = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in (web, login, tracking)] == ["aim", "login", "tracking"]
    assert {"--cookie-name=_aim_aim", "--proxy-prefix=/oauth2"} <= set(login["args"])
    names = [each["metadata"]["name"] for each in manifests if each["kind"] == "ConfigMap"]
    kinds = {re.sub(r"(chores-|patches-|)[0-9a-f]{10}$", "", name) for name in names}
    assert kinds == {"aim-supervisor-", "aim-login-"}


def test_the_names_of_a_backup(chart: cdk8s.Chart) -> None:
    """Copies are found by them, and Jobs are made of the CronJobs by scripts of others."""
    options = BackupOptions(password=KeyRef(name="backup", key="password"))
    target = BackupVolume(volume=ExistingClaim(name="copies"))
    AimBackup(chart, "backup", storage=storage(chart), target=target, options=options)
    jobs = [each for each in cdk8s.Testing.synth(chart) if each["kind"] == "CronJob"]
    assert [job["metadata"]["name"] for job in jobs] == ["aim-backup", "aim-drill"]
    assert BACKUP == ".aim-backup"
    script = jobs[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["initContainers"][1]["command"][2]
    done = "\n".join(line for line in script.splitlines() if not line.startswith("#"))
    assert "cd /aim/.aim-backup/copy\nrun backup --host aim --tag aim --ignore-inode --ignore-ctime . || {\n" in done

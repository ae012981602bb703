"""`make restore` prints one Job, which nothing applies by accident."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from app.errors import InputError
from app.restore import main, manifest

INSTANCES = Path(__file__).resolve().parents[1] / "instances"
EVERYTHING = str(INSTANCES / "everything.yaml")


def test_a_job_is_printed_that_has_no_name_before_it_is_created(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`kubectl apply` refuses it, and `kubectl create` makes one each time."""
    for name, value in {"INSTANCE": EVERYTHING, "SNAPSHOT": "0123abcd", "INTO": "fresh", "RUN": ""}.items():
        monkeypatch.setenv(name, value)
    assert main() == 0
    job = yaml.safe_load(capsys.readouterr().out)
    assert job["kind"] == "Job"
    assert "name" not in job["metadata"]
    assert job["metadata"]["generateName"] == "vision-restore-"
    spec = job["spec"]["template"]["spec"]
    assert [each["name"] for each in (*spec["initContainers"], *spec["containers"])] == ["admit", "restic", "restore"]
    assert "/aim/.aim-backup/restored 0123abcd" in spec["initContainers"][1]["command"][2]
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in spec["volumes"]
        if len(volume) == 2 and "persistentVolumeClaim" in volume
    }
    assert claims == {"fresh"}


def test_one_run_is_brought_back_on_the_node_of_the_server() -> None:
    """The server goes on, and has the volume of ReadWriteOnce on its node."""
    job = yaml.safe_load(manifest(EVERYTHING, run="0" * 24))
    spec = job["spec"]["template"]["spec"]
    assert "podAffinity" in spec["affinity"]
    assert spec["containers"][0]["command"][-2:] == ["--run", "0" * 24]
    assert "affinity" not in yaml.safe_load(manifest(EVERYTHING))["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("instance", "options", "message"),
    [
        (EVERYTHING, {"snapshot": "newest"}, "SNAPSHOT: 'newest': write restic's id"),
        (EVERYTHING, {"into": "A"}, "INTO: 'A': "),
        (EVERYTHING, {"run": "1"}, "RUN: '1': write its 24 digits"),
        (str(INSTANCES / "existing-claim.yaml"), {}, "backup: missing; write where the copies are"),
        ("missing", {}, "INSTANCE: 'missing': no such instance file; write one of aim, or a path"),
    ],
)
def test_what_cannot_work_is_said(instance: str, options: dict[str, str], message: str) -> None:
    """As every other option that is written in vain."""
    with pytest.raises(InputError, match=message):
        manifest(instance, **options)

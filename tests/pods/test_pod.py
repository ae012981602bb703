"""Containers of a pod: how each is told from the others, and what is refused."""

from __future__ import annotations

from typing import Any

import cdk8s
import pytest

from constructs_lib import (
    AimPod,
    EnvVar,
    ImageOptions,
    OptionError,
    Resources,
    harden,
    pod_security_context,
)
from constructs_lib.plus import kplus
from tests.harness.building import rendered, serve

IMAGE = ImageOptions(image="example.com/train:1")


def pod(chart: cdk8s.Chart) -> AimPod:
    """The pod of a Job."""
    return AimPod(kplus.Job(chart, "train"))


def containers(chart: cdk8s.Chart, kind: str = "Job") -> dict[str, Any]:
    """The containers of the one Job, by their names."""
    spec = rendered(chart, kind)["spec"]["template"]["spec"]
    return {each["name"]: each for each in (*spec["containers"], *spec.get("initContainers", ()))}


def test_each_container_has_its_own_settings(chart: cdk8s.Chart) -> None:
    """Other containers are added in between, by this pod and by cdk8s-plus."""
    made = pod(chart)
    first = made.add_container(image=IMAGE, resources=Resources(limits={"cpu": "1"}))
    made.workload.add_container(name="of-others", image="example.com/other:1")
    second = made.add_container(name="second", image=IMAGE, resources=Resources(limits={"cpu": "2"}))
    before = made.add_container(name="before", image=IMAGE, init=True)
    for container in (first, second, before):
        made.set(container, {"tty": True})
    found = containers(chart)
    assert [name for name, each in found.items() if each.get("tty")] == ["main", "second", "before"]
    assert [found[name]["resources"]["limits"]["cpu"] for name in ("main", "second")] == ["1", "2"]


@pytest.mark.parametrize("init", [False, True])
@pytest.mark.parametrize("name", ["main", "of-others", "before"])
def test_a_name_that_is_taken_is_refused(chart: cdk8s.Chart, name: str, init: bool) -> None:
    """Also by an init container, or by one that was added to the workload itself; Kubernetes knows one of a name."""
    made = pod(chart)
    made.add_container(image=IMAGE)
    made.add_container(name="before", image=IMAGE, init=True)
    made.workload.add_container(name="of-others", image="example.com/other:1")
    with pytest.raises(OptionError, match=f"chart/train: name: '{name}': write another one"):
        made.add_container(name=name, image=IMAGE, init=init)
    assert len(containers(chart)) == 3


def test_a_container_of_aim_is_none_of_the_user_s(chart: cdk8s.Chart) -> None:
    """Its settings would land on Aim."""
    with pytest.raises(OptionError, match="chart/server/Deployment: name: 'aim': write another one"):
        serve(chart).pod.add_container(name="aim", image=IMAGE)


def test_a_container_of_another_pod_is_not_changed(chart: cdk8s.Chart) -> None:
    """Even where it has the name of one in this pod."""
    made, other = pod(chart), AimPod(kplus.Deployment(chart, "other"))
    made.add_container(image=IMAGE)
    container = other.add_container(image=IMAGE)
    with pytest.raises(OptionError, match="chart/train: container: 'main': name a container of this pod"):
        made.set(container, {"tty": True})


def test_a_container_that_cdk8s_plus_gives_out_is_known(chart: cdk8s.Chart) -> None:
    """It is another object of Python each time."""
    made = pod(chart)
    made.add_container(image=IMAGE)
    made.set(made.workload.containers[0], {"tty": True})
    assert containers(chart)["main"]["tty"] is True


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "Main"}, "name: 'Main': write at most 63"),
    ({"name": "a.b"}, "name: 'a.b'"),
    ({"name": 5}, "name: 5"),
    ({"image": "example.com/train:1"}, "image: 'example.com/train:1': write ImageOptions"),
    ({"command": "python train.py"}, "command: 'python train.py': write a list, each entry a text"),
    ({"args": ["--points", 5]}, r"args\[1\]: 5: write a text"),
    ({"working_dir": 5}, "working_dir: 5"),
    ({"ports": [8080]}, r"ports\[0\]: 8080: write a ContainerPort"),
    ({"ports": 8080}, "ports: 8080: write a list"),
    ({"probes": "/"}, "probes: 'a str': write a mapping"),
    ({"resources": {"cpu": "1"}}, "resources: 'a dict': write a Resources"),
    ({"resources": Resources(requests=None)}, "resources.requests: None: write a mapping"),  # type: ignore[arg-type]
    ({"resources": Resources(limits={"cpu": True})}, r"resources.limits\[cpu\]: True: write a text or a number"),
    ({"env": {"TOKEN": "hunter2"}}, "env: 'a dict': write a list"),
    ({"env": ["TOKEN=hunter2"]}, r"env\[0\]: '\*\*\*': write EnvVar"),
    ({"env": [EnvVar(name="A", value=5)]}, r"env\[0\].value: 5: write a text"),  # type: ignore[arg-type]
    ({"store": "aim-runs"}, "store: 'a str': write an AimStorage"),
    ({"init": "no"}, "init: 'no': write True or False"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_a_container_is_refused(chart: cdk8s.Chart, options: dict[str, Any], message: str) -> None:
    """The pod stays without it, and nothing of a secret is told."""
    made = pod(chart)
    with pytest.raises(OptionError, match=f"^chart/train: {message}") as error:
        made.add_container(**{"image": IMAGE, **options})
    assert "hunter2" not in str(error.value)
    assert list(made.workload.containers) == []


def test_what_has_no_pod_is_refused(chart: cdk8s.Chart) -> None:
    """A server has one, but is none."""
    server: Any = serve(chart)
    remedy = "write a Pod, Job, CronJob, Deployment, StatefulSet or DaemonSet"
    with pytest.raises(OptionError, match=f"workload: 'an AimServer': {remedy}"):
        AimPod(server)
    with pytest.raises(OptionError, match=f"workload: 'an AimServer': {remedy}"):
        harden(server)
    with pytest.raises(OptionError, match="owner: 1000: write an Owner"):
        pod_security_context(1000)  # type: ignore[arg-type]

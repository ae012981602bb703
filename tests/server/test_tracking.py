"""The tracking server beside the web server."""

from __future__ import annotations

from typing import Any

import cdk8s
import pytest
from syrupy.assertion import SnapshotAssertion

from constructs_lib import (
    OptionError,
    Resources,
    ServiceOptions,
    TrackingOptions,
)
from constructs_lib.plus import kplus
from tests.harness.building import rendered, serve


def test_tracking(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """A tracking server is a second container on the same volume, with a port of its own."""
    serve(chart).add_tracking()
    assert chart == difference


def test_tracking_of_others(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """Training of another namespace is admitted to the tracking server, and not to the web server."""
    tracking = serve(chart).add_tracking(
        TrackingOptions(port=9000, base_path="/track", resources=Resources(limits={"memory": "2Gi"}))
    )
    tracking.allow_from(kplus.Namespaces.select(chart, "Training", labels={"team": "vision"}))
    assert chart == difference


def test_tracking_of_everybody(chart: cdk8s.Chart, difference: SnapshotAssertion) -> None:
    """A Service that everybody may use opens both."""
    serve(chart, service=ServiceOptions(type="NodePort"), allow_anonymous=True).add_tracking()
    assert chart == difference


@pytest.mark.parametrize(
    ("options", "url"),
    [({}, "aim://aim.ml.svc:53800"), ({"port": 9000, "base_path": "/track"}, "aim://aim.ml.svc:9000/track")],
)
def test_the_tracking_url_is_what_a_container_is_connected_to(
    chart: cdk8s.Chart, options: dict[str, Any], url: str
) -> None:
    """`AIM_REPO` is all that a training container needs."""
    server = serve(chart)
    assert server.add_tracking(TrackingOptions(**options)).url == server.tracking_url == url
    job = kplus.Job(chart, "train")
    job.add_container(image="example.com/train:1")
    server.connect(job)
    (container,) = rendered(chart, "Job")["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "AIM_REPO", "value": url}]


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"port": 0}, "tracking.port"),
        ({"port": 80}, "tracking.port"),
        ({"base_path": "track"}, "tracking.base_path"),
        ({"resources": Resources(limits={"cpu": "many"})}, "tracking.resources.limits[cpu]"),
    ],
)
def test_an_option_of_tracking_that_cannot_work_is_named(
    chart: cdk8s.Chart, options: dict[str, Any], option: str
) -> None:
    """The error names the server and the option, and leaves nothing behind."""
    server = serve(chart)
    with pytest.raises(OptionError) as error:
        server.add_tracking(TrackingOptions(**options))
    assert str(error.value).startswith(f"chart/server: {option}: ")
    assert server.tracking is None
    assert server.add_tracking() is server.tracking


def test_a_name_that_does_not_resolve_is_not_given_to_a_workload(tree: cdk8s.App) -> None:
    """A chart without a namespace has the short name of its Service only, which is of one namespace."""
    server = serve(cdk8s.Chart(tree, "server"))
    server.add_tracking()
    job = kplus.Job(cdk8s.Chart(tree, "training", namespace="vision"), "train")
    job.add_container(image="example.com/train:1")
    with pytest.raises(OptionError, match="training/train: namespace: 'vision': give the chart of the server a"):
        server.connect(job)


def test_what_has_no_containers_is_not_connected(chart: cdk8s.Chart) -> None:
    """The error says what has."""
    server = serve(chart)
    server.add_tracking()
    with pytest.raises(OptionError, match="workload: 'an AimServer': write a Pod, Job, CronJob, Deployment"):
        server.connect(server)  # type: ignore[arg-type]


def test_options_that_are_none_are_refused(chart: cdk8s.Chart) -> None:
    """A mapping, as an instance file has it."""
    with pytest.raises(OptionError, match="chart/server: tracking.options: 'a dict': write TrackingOptions"):
        serve(chart).add_tracking({"port": 9000})  # type: ignore[arg-type]


def test_there_is_one_tracking_server(chart: cdk8s.Chart) -> None:
    """It keeps its clients in memory, so a second one would not know them."""
    server = serve(chart)
    server.add_tracking()
    with pytest.raises(OptionError, match="chart/server: tracking.url: 'aim://aim.ml.svc:53800': call .* once"):
        server.add_tracking()


def test_nothing_is_connected_to_a_tracking_server_that_is_not_there(chart: cdk8s.Chart) -> None:
    """Neither by its URL, nor by a workload."""
    server = serve(chart)
    job = kplus.Job(chart, "train")
    job.add_container(image="example.com/train:1")
    with pytest.raises(OptionError, match=r"chart/server: tracking: None: call add_tracking\(\) first"):
        server.connect(job)
    server.add_tracking()
    server.connect(job)
    with pytest.raises(OptionError, match=r"containers\[main\].env\[AIM_REPO\]: 'aim://aim.ml.svc:53800': leave"):
        server.connect(job)

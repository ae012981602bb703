"""Runs recorded with the real Aim, through the volume and through the network, and what must not lose one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cdk8s
import pytest

from constructs_lib import TrackingOptions
from tests.harness.aim_environment import PYTHON
from tests.harness.building import aim_server, dynamic
from tests.harness.manifest_rules import Manifest, pod_of
from tests.harness.pages import going_on
from tests.harness.sandbox import CLIENT, Pod, assert_all_there, running, skip, training, wait_for, written

TRACKING = 53800
HEALTH = 53801
URL = f"aim://127.0.0.1:{TRACKING}"


@pytest.fixture
def pod(chart: cdk8s.Chart) -> list[Manifest]:
    """The manifests of a server with a tracking server beside it."""
    aim_server(chart, "server", storage=dynamic(chart)).add_tracking()
    return list(cdk8s.Testing.synth(chart))


@pytest.fixture
def container(pod: list[Manifest]) -> Manifest:
    """The tracking server's container."""
    return dict(pod_of(pod)["containers"][1])


@pytest.fixture
def server(pod: list[Manifest], volume: Path) -> Iterator[Pod]:
    """The web server's container, answering."""
    with running(pod, volume) as started:
        started.await_ready()
        yield started


def await_tracking(tracking: Pod) -> None:
    """Wait until it answers its probes."""
    wait_for(lambda: tracking.get("/status/", port=TRACKING, timeout=2), seconds=60, still=tracking)


def test_writers_over_volume_and_network_lose_nothing(
    server: Pod, container: Manifest, pod: list[Manifest], volume: Path
) -> None:
    """Three of each at once: listed while they run, and every run and point is there at the end."""
    with ExitStack() as stack:
        await_tracking(stack.enter_context(server.running(container)))
        options = ("--points", 150, "--pause", 0.1)
        writers = {}
        for number in range(3):
            trainer = stack.enter_context(training(pod, volume, host=f"trainer-{number}"))
            writers[f"volume-{number}"] = trainer.client("write", "--name", f"volume-{number}", *options)
            remote = server.client("write", "--name", f"network-{number}", *options, repository=URL)
            writers[f"network-{number}"] = remote
        wait_for(lambda: going_on(server.get) >= set(writers), seconds=60, still=server)
        runs = {run: points for writer in writers.values() for run, points in written(writer).items()}
        assert len(runs) == 6
        assert_all_there(runs, server)


def points(server: Pod) -> int:
    """How many points of all runs the server has indexed."""
    return sum(json.loads(server.client("count").communicate(timeout=60)[0]).values())


def test_a_restarted_and_a_killed_tracking_server_lose_no_point(server: Pod, container: Manifest) -> None:
    """The client waits and connects again, whether it was told or not; and the former ends with status 0."""
    with server.running(container) as tracking:
        await_tracking(tracking)
        writer = server.client("write", "--points", 400, "--pause", 0.1, repository=URL)
        wait_for(lambda: points(server) > 10, seconds=30, still=server)
        assert writer.poll() is None
        code, seconds = tracking.stop()
        assert code == 0
        assert seconds < 5
    before = points(server)
    with server.running(container) as tracking:
        await_tracking(tracking)
        wait_for(lambda: points(server) > before + 10, seconds=30, still=server)
        assert writer.poll() is None
        tracking.kill()
    with server.running(container) as tracking:
        await_tracking(tracking)
        assert_all_there(written(writer), server)


def test_a_web_server_that_dies_leaves_those_who_record_alone(
    pod: list[Manifest], container: Manifest, server: Pod, volume: Path
) -> None:
    """The two containers are each other's neighbours, not each other's fate; what was recorded meanwhile is found."""
    with training(pod, volume) as elsewhere, elsewhere.running(container) as tracking:
        await_tracking(tracking)
        writer = elsewhere.client("write", "--points", 100, "--pause", 0.05, repository=URL)
        server.kill()
        runs = written(writer)
    with running(pod, volume) as again:
        again.await_ready()
        assert_all_there(runs, again)


def seconds_to_lock(pod: Pod) -> float:
    """How long a process of a pod waits for the lock under which runs are created."""
    return float(pod.client("await_creation_lock").communicate(timeout=60)[0])


def test_a_lock_holds_among_containers_that_see_each_others_processes(
    server: Pod, pod: list[Manifest], volume: Path
) -> None:
    """With one host name and processes that it cannot see, Aim takes the lock of a live holder at once."""
    with training(pod, volume, host="aim-1") as stranger:
        for other, waits in ((server, True), (stranger, False)):
            holder = server.client("keep_creation_lock", "--pause", 10)
            assert holder.stdout
            assert holder.stdout.readline() == "held\n"
            assert (seconds_to_lock(other) > 3) is waits
            holder.wait(30)


def test_the_tracking_server_waits_for_a_repository(pod: list[Manifest], container: Manifest, volume: Path) -> None:
    """It makes none, says what it waits for, and ends in peace when it is told to."""
    with training(pod, volume) as empty, empty.running(container) as tracking:
        wait_for(lambda: "waiting for the Aim repository" in tracking.logs, seconds=30, still=tracking)
        assert "the Aim repository in /aim" in tracking.health("startz", port=HEALTH)[1]
        assert tracking.stop()[0] == 0
    assert [path.name for path in volume.iterdir()] == [".aim-tracking.lock"]


def test_the_tracking_server_refuses_what_the_web_server_refuses(
    pod: list[Manifest], container: Manifest, volume: Path
) -> None:
    """A repository of a newer Aim ends it with status 1, and the file and the way out in its last line."""
    (volume / ".aim").mkdir()
    (volume / ".aim/VERSION").write_text("9.0", encoding="utf-8")
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "10001:10001", volume / ".aim"], check=True)
    with training(pod, volume) as empty, empty.running(container) as tracking:
        code, line = tracking.ended()
    assert code == 1
    assert "/aim/.aim/VERSION says 9.0" in line


def test_a_taken_port_ends_the_tracking_server(server: Pod, container: Manifest) -> None:
    """With a status that is not 0, and the reason in its last line."""
    listen = f"import socket, time; s = socket.create_server(('', {TRACKING})); print('taken'); time.sleep(90)"
    other = server.start("python3", "-uc", listen)
    assert other.stdout
    assert other.stdout.readline() == "taken\n"
    with server.running(container) as tracking:
        code, line = tracking.ended()
    assert code == 1
    assert line.endswith(f"cannot listen on port {TRACKING} of this pod: Address already in use")


def test_the_base_path_is_that_of_the_tracking_server(chart: cdk8s.Chart, volume: Path) -> None:
    """Recording works below it, and nothing is beside it."""
    aim_server(chart, "server", storage=dynamic(chart)).add_tracking(TrackingOptions(base_path="/track"))
    manifests = list(cdk8s.Testing.synth(chart))
    container = pod_of(manifests)["containers"][1]
    with running(manifests, volume) as server, server.running(container) as tracking:
        wait_for(lambda: tracking.health("readyz", port=HEALTH)[0] == 200, seconds=60, still=tracking)
        assert tracking.get("/track/status/", port=TRACKING)
        assert tracking.get("/status/", port=TRACKING) is None
        assert_all_there(written(server.client("write", repository=f"{URL}/track")), server)


@pytest.mark.parametrize(("umask", "reason"), [(0o022, "PermissionError"), (0o002, "readonly database")])
def test_another_user_cannot_write_not_even_one_of_the_group(
    pod: list[Manifest], volume: Path, umask: int, reason: str
) -> None:
    """Why `attach` sets the user: the owner's group is not enough, nor is an open umask of all who write."""
    if os.geteuid() != 0:
        skip("only root can become another user")
    former = os.umask(umask)
    try:
        with running(pod, volume) as server:
            server.await_ready()
            written(server.client("write"))
            server.identity = ["--setuid=10002", "--setgid=10001"]
            command = ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", PYTHON, CLIENT, "write", "/aim"]
            writer = server.start(*command)
            output, _ = writer.communicate(timeout=60)
    finally:
        os.umask(former)
    assert writer.returncode != 0
    assert reason in output

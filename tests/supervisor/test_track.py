"""The tracking server's container: it says what it waits for, waits for room, and always ends."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import signal
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path

import cdk8s
import pytest

from constructs_lib.supervisor import Refusal, track
from constructs_lib.supervisor.track import FULL, ROOM, Tracking
from tests.harness.building import aim_server, dynamic
from tests.harness.manifest_rules import Manifest, pod_of
from tests.harness.sandbox import Pod, assert_all_there, disk, running, training, wait_for, written

PORT = 53800
HEALTH = 53801
URL = f"aim://127.0.0.1:{PORT}"


@pytest.fixture
def manifests(chart: cdk8s.Chart) -> list[Manifest]:
    """Those of a server with a tracking server beside it."""
    aim_server(chart, "server", storage=dynamic(chart)).add_tracking()
    return list(cdk8s.Testing.synth(chart))


@pytest.fixture
def container(manifests: list[Manifest]) -> Manifest:
    """The tracking server's container."""
    return dict(pod_of(manifests)["containers"][1])


@pytest.fixture
def repository(manifests: list[Manifest], volume: Path) -> Path:
    """A volume with a repository in it, and no server."""
    with running(manifests, volume) as server:
        server.await_ready()
    return volume


@pytest.fixture
def pod(manifests: list[Manifest], repository: Path) -> Iterator[Pod]:
    """A pod without its web server's container."""
    with training(manifests, repository) as started:
        yield started


def is_ready(tracking: Pod) -> bool:
    """Whether the kubelet takes it for ready."""
    return tracking.health("readyz", port=HEALTH)[0] == 200


def await_ready(tracking: Pod) -> None:
    """Wait until the kubelet takes it for ready."""
    wait_for(lambda: is_ready(tracking), seconds=60, still=tracking)


def takes_runs(tracking: Pod) -> bool:
    """Whether its port is open."""
    return tracking.get("/status/", port=PORT, timeout=2) is not None


def leave(folder: Path, left: int) -> Path:
    """Fill a disk until so many bytes are free; returns the file that takes the rest."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - left)
    return filler


def test_it_waits_for_the_repository_and_says_so(manifests: list[Manifest], container: Manifest, volume: Path) -> None:
    """The startup probe's body names it, and runs are taken as soon as the web server has made it."""
    with training(manifests, volume) as empty, empty.running(container) as tracking:
        wait_for(lambda: "waiting for the Aim repository" in tracking.logs, seconds=60, still=tracking)
        for page in ("startz", "readyz"):
            assert tracking.health(page, port=HEALTH) == (
                503,
                "the Aim repository in /aim, which the web server makes\n",
            )
        assert tracking.health("livez", port=HEALTH)[0] == 200
        assert not takes_runs(tracking)
        with running(manifests, volume):
            await_ready(tracking)
            assert takes_runs(tracking)
            assert tracking.get("/docs", port=PORT) is None
            refused = 'aim_refused_requests_total{cause="route"} 1.0'
            wait_for(lambda: refused in tracking.health("metrics", port=HEALTH)[1], seconds=30, still=tracking)


def test_a_full_volume_makes_clients_wait(manifests: list[Manifest], container: Manifest, volume: Path) -> None:
    """The port is closed, the container stays, ready, and says why; with room again every point arrives."""
    with disk(volume, "256m"), running(manifests, volume) as server, server.running(container) as tracking:
        server.await_ready()
        await_ready(tracking)
        writer = server.client("write", "--points", 300, "--pause", 0.1, repository=URL)
        wait_for(lambda: points(server) > 10, seconds=60, still=tracking)
        filler = leave(volume, FULL - 2**20)
        # the port is closed first, and the reason is said when the server behind it has ended
        wait_for(
            lambda: "no runs are taken until" in tracking.health("readyz", port=HEALTH)[1], seconds=20, still=tracking
        )
        assert not takes_runs(tracking)
        assert is_ready(tracking)
        assert tracking.health("livez", port=HEALTH)[0] == 200
        filler.unlink()
        assert_all_there(written(writer), server)
        assert tracking.logs.count("no space left") == 1
        assert "there is room in /aim again" in tracking.logs


def points(server: Pod) -> int:
    """How many points of all runs the server has indexed."""
    return sum(json.loads(server.client("count").communicate(timeout=60)[0]).values())


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list of one: it passes by sleeping only."""
    now, sleep = [1000.0], asyncio.sleep

    async def pass_by(duration: float) -> None:
        now[0] += duration
        await sleep(0)

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(asyncio, "sleep", pass_by)
    return now


async def tracking_of(volume: Path) -> Tracking:
    """A tracking server that is not started."""
    return Tracking(argparse.Namespace(repository=str(volume), host="", port=PORT, base_path=""))


def test_it_starts_again_with_more_room_than_it_stopped_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: list[float]
) -> None:
    """A volume that has just so little left would stop it at once."""
    free = [FULL - 1, FULL, ROOM - 1, ROOM]
    monkeypatch.setattr(track, "look", lambda _: track.Look(free.pop(0), 1))

    async def scenario() -> Tracking:
        server = await tracking_of(tmp_path)
        await server.await_room(FULL)
        return server

    server = asyncio.run(scenario())
    assert not free
    assert seconds == [1003.0]
    assert "volume" not in server.health.notes
    assert server.health.started


def test_the_room_that_its_own_runs_give_back_does_not_start_it_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: list[float]
) -> None:
    """RocksDB reserves room for each open run: it would stop and start for ever, so it waits ever longer."""
    monkeypatch.setattr(track, "look", lambda _: track.Look(2**40, 1))
    starts: list[float] = []

    async def serve(_: Tracking, begin: Coroutine[object, object, object]) -> None:
        begin.close()
        starts.append(seconds[0])
        if len(starts) == 6:
            seconds[0] += 3600  # it has taken runs for an hour
        if len(starts) == 8:
            raise Refusal

    async def scenario() -> None:
        await (await tracking_of(tmp_path)).run()

    async def ask(_: Tracking) -> None: ...

    monkeypatch.setattr(Tracking, "_serve", serve)
    monkeypatch.setattr(Tracking, "_ask", ask)
    with pytest.raises(Refusal):
        asyncio.run(scenario())
    assert [after - before for before, after in itertools.pairwise(starts)] == [5, 20, 60, 300, 300, 3605, 20]


def test_a_volume_that_is_full_from_the_start_keeps_nobody_from_being_ready(
    manifests: list[Manifest], container: Manifest, volume: Path
) -> None:
    """Of the pod: the UI shows what is there. Not even the lock file can be made."""
    with disk(volume, "128m"):
        with running(manifests, volume) as server:
            server.await_ready()
        filler = leave(volume, 0)
        with training(manifests, volume) as pod, pod.running(container) as tracking:
            await_ready(tracking)
            assert tracking.health("startz", port=HEALTH)[0] == 200
            assert "taking runs" not in tracking.logs
            filler.unlink()
            wait_for(lambda: takes_runs(tracking), seconds=60, still=tracking)
            assert tracking.stop()[0] == 0


@pytest.mark.parametrize("replaced", [False, True])
def test_it_ends_when_the_repository_is_gone(pod: Pod, container: Manifest, repository: Path, replaced: bool) -> None:
    """Or is another one: what it has open is not there any more, and the reason is its last line."""
    with pod.running(container) as tracking:
        await_ready(tracking)
        (repository / ".aim").rename(repository / "former")
        if replaced:
            (repository / ".aim").mkdir()
        code, line = tracking.ended(seconds=20)
    assert code == 1
    assert "/aim/.aim" in line


def test_it_holds_a_lock_of_its_own_and_waits_for_it(
    manifests: list[Manifest], pod: Pod, container: Manifest, repository: Path
) -> None:
    """The former pod's tracking server may drain on another node; the next web server asks for the lock, too."""
    with pod.running(container) as former, training(manifests, repository, host="next") as other:
        await_ready(former)
        with other.running(container) as tracking:
            reason = "waiting for the pod trainer to release /aim/.aim-tracking.lock"
            wait_for(lambda: reason in tracking.logs, seconds=60, still=tracking)
            assert tracking.health("startz", port=HEALTH)[1].startswith(reason)
            assert former.stop()[0] == 0
            await_ready(tracking)
            assert takes_runs(tracking)


def test_it_ends_when_its_lock_is_taken_away(pod: Pod, container: Manifest, repository: Path) -> None:
    """The next web server would take its locks for those of a dead process."""
    with pod.running(container) as tracking:
        await_ready(tracking)
        (repository / ".aim-tracking.lock").unlink()
        code, line = tracking.ended(seconds=20)
        assert not takes_runs(pod)
    assert code == 1
    assert "/aim/.aim-tracking.lock was removed or replaced" in line


def test_it_ends_while_the_file_system_hangs(pod: Pod, container: Manifest) -> None:
    """It stays ready, as the web server tells the same better, and SIGTERM ends it with status 0."""
    with pod.running(container) as tracking:
        await_ready(tracking)
        with tracking.hung():
            hangs = "volume: the file system of /aim does not answer"
            wait_for(lambda: hangs in tracking.health("readyz", port=HEALTH)[1], seconds=30, still=tracking)
            assert is_ready(tracking)
            code, seconds = tracking.stop()
    assert code == 0
    assert seconds < 45


def test_it_ends_while_it_waits(pod: Pod, container: Manifest) -> None:
    """For a file system that hangs from the start."""
    with pod.hung(), pod.running(container) as tracking:
        hangs = "the file system of /aim does not answer"
        wait_for(lambda: hangs in tracking.health("startz", port=HEALTH)[1], seconds=30, still=tracking)
        code, seconds = tracking.stop()
    assert code == 0
    assert seconds < 45


def test_a_server_that_is_busy_keeps_the_pod_ready(pod: Pod, container: Manifest) -> None:
    """A stopped process stands for one that reads a whole repository: the UI must not leave the Service for it."""
    with pod.running(container) as tracking:
        await_ready(tracking)
        server = accepting(pod)
        pod.start("kill", "-STOP", server).wait(10)
        silent = "tracking server: the server does not answer within 10 s"
        wait_for(lambda: silent in tracking.health("readyz", port=HEALTH)[1], seconds=40, still=tracking)
        assert is_ready(tracking)
        pod.start("kill", "-CONT", server).wait(10)
        wait_for(lambda: silent not in tracking.health("readyz", port=HEALTH)[1], seconds=40, still=tracking)


def accepting(pod: Pod) -> str:
    """Process id of the server itself."""
    output, _ = pod.start("pgrep", "-f", "supervisor accept").communicate(timeout=10)
    (process,) = output.split()
    return str(process)


def test_a_server_that_dies_ends_the_container(pod: Pod, container: Manifest) -> None:
    """With the reason."""
    with pod.running(container) as tracking:
        await_ready(tracking)
        pod.start("kill", "-KILL", accepting(pod)).wait(10)
        code, line = tracking.ended(seconds=20)
    assert code == 1
    assert "the tracking server ended with exit code -9" in line


def test_the_server_ends_with_its_supervisor(pod: Pod, container: Manifest) -> None:
    """The supervisor's lock ends with it: a server that lives on would write beside the next pod's."""
    with pod.running(container) as tracking:
        await_ready(tracking)
        os.kill(tracking.pid, signal.SIGKILL)
        tracking.process.wait(10)
        wait_for(lambda: not takes_runs(pod), seconds=10, still=pod)


def test_both_families_of_addresses_are_listened_on(pod: Pod, container: Manifest) -> None:
    """On an IPv6 cluster the kubelet and the Service reach the pod by IPv6 only."""
    with pod.running(container) as tracking:
        await_ready(tracking)
        for page in (f"http://[::1]:{PORT}/status/", f"http://[::1]:{HEALTH}/readyz"):
            assert pod.start("curl", "-sfg", page).wait(10) == 0


def test_an_address_can_be_given(pod: Pod, container: Manifest) -> None:
    """Behind a proxy in the pod, nobody else is to reach it."""
    local = {**container, "command": [*container["command"], "--host", "127.0.0.1"]}
    with pod.running(local) as tracking:
        await_ready(tracking)
        assert takes_runs(tracking)
        assert pod.start("curl", "-sfg", f"http://[::1]:{PORT}/status/").wait(10) != 0


def test_sigterm_ends_it_at_any_moment_of_a_start(pod: Pod, container: Manifest) -> None:
    """Also while Aim is imported."""
    for condition in ("starts on /aim", "taking runs for /aim"):
        with pod.running(container) as tracking:
            wait_for(lambda text=condition: text in tracking.logs, seconds=60, still=tracking)  # type: ignore[misc]
            code, seconds = tracking.stop()
        assert code in (0, 143)
        assert seconds < 15


def test_answers_are_not_delayed(pod: Pod, container: Manifest) -> None:
    """An accepted connection has TCP_NODELAY: a small answer would wait some 40 ms for an acknowledgement."""
    with pod.running(container) as tracking:
        await_ready(tracking)
        script = f"""
import http.client, time
connection = http.client.HTTPConnection("127.0.0.1", {PORT})
times = []
for _ in range(40):
    begin = time.monotonic()
    connection.request("GET", "/status/")
    connection.getresponse().read()
    times.append(time.monotonic() - begin)
print(sorted(times)[20])
"""
        output, _ = pod.start("python3", "-c", script).communicate(timeout=60)
        assert float(output) < 0.035

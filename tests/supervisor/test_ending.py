"""The pod of the committed manifests: it says what it suffers from, and it always ends."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest
import yaml

from tests.harness.manifest_rules import Manifest
from tests.harness.sandbox import Pod, running, training, wait_for

ROOT = Path(__file__).resolve().parents[2]

FOREIGN = """
import http.client
connection = http.client.HTTPConnection("127.0.0.1", 43800)
connection.request("GET", "/api/runs/active/", headers={"Sec-Fetch-Site": "cross-site"})
assert connection.getresponse().status == 403
"""
"""A request that a page of another origin sends."""


@pytest.fixture
def manifests() -> list[Manifest]:
    """The committed manifests."""
    return list(yaml.safe_load_all((ROOT / "dist/aim.k8s.yaml").read_text(encoding="utf-8")))


def processes(pod: Pod, pattern: str) -> list[int]:
    """Process ids in the pod whose command line matches, the oldest first."""
    output, _ = pod.start("pgrep", "-f", pattern).communicate(timeout=10)
    return [int(line) for line in output.split()]


def test_a_hung_file_system_is_named_and_ends_nobody_but_who_is_told_to(
    manifests: list[Manifest], volume: Path
) -> None:
    """Readiness says so, liveness waits, and SIGTERM ends the pod within its grace period, status 0."""
    with running(manifests, volume) as server:
        server.await_ready()
        with server.hung():
            wait_for(lambda: server.health("readyz")[0] == 503, seconds=30, still=server)
            assert "it is busy, or the file system hangs" in server.health("readyz")[1]
            assert server.health("livez")[0] == 200
            code, seconds = server.stop()
    assert code == 0
    assert seconds < 45


def test_a_file_system_that_hangs_from_the_start_is_named(manifests: list[Manifest], volume: Path) -> None:
    """The startup probe's body says what the pod waits for, and SIGTERM ends it."""
    with running(manifests, volume, host="former") as former:
        former.await_ready()
        with running(manifests, volume) as server, server.hung():
            wait_for(lambda: server.health("startz")[0] == 503, seconds=30, still=server)
            # it may have opened the lock file before: then it waits for the former server, or for the file system
            assert re.search("does not answer|waiting for the pod former", server.health("startz")[1])
            assert server.stop()[0] == 0


def test_a_server_whose_lock_file_is_removed_ends_before_another_one_serves(
    manifests: list[Manifest], volume: Path
) -> None:
    """It kills its own processes at once, says why, and the next one serves."""
    with running(manifests, volume, host="old") as old:
        old.await_ready()
        with running(manifests, volume, host="new") as new:
            wait_for(lambda: "waiting for the pod old" in new.logs, seconds=30, still=new)
            assert new.health("startz")[1].startswith("waiting for the pod old to release /aim/.aim-server.")
            (volume / ".aim-server.lock").unlink()
            code, line = old.ended(seconds=10)
            assert code == 1
            assert "/aim/.aim-server.lock was removed or replaced: another server may have the volume" in line
            assert new.get("/") is None
            new.await_ready()


def test_a_killed_worker_is_replaced(manifests: list[Manifest], volume: Path) -> None:
    """The server goes on, and the log says why one is new: out of memory is the usual reason."""
    with running(manifests, volume) as server:
        server.await_ready()
        *_, worker = processes(server, "supervisor host")
        server.start("kill", "-KILL", worker).wait(10)
        wait_for(lambda: "the worker was ended by SIGKILL, as the kernel does" in server.logs, seconds=30, still=server)
        counted = 'aim_worker_restarts_total{cause="SIGKILL"} 1.0'
        wait_for(lambda: counted in server.health("metrics")[1], seconds=30, still=server)
        server.await_ready()
        refused = 'aim_refused_requests_total{cause="origin"}'
        assert f"{refused} 0.0" in server.health("metrics")[1]
        assert server.start("python3", "-c", FOREIGN).wait(30) == 0
        wait_for(lambda: f"{refused} 1.0" in server.health("metrics")[1], seconds=30, still=server)
        server.await_ready()
        assert len(processes(server, "supervisor host")) == 4


def test_a_worker_that_hangs_is_replaced(manifests: list[Manifest], volume: Path) -> None:
    """A stopped process stands for a loop that turns no more; the time until then is uvicorn's own setting."""
    container = next(m for m in manifests if m["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    container.setdefault("env", []).append({"name": "UVICORN_TIMEOUT_WORKER_HEALTHCHECK", "value": "3"})
    with running(manifests, volume) as server:
        server.await_ready()
        *_, worker = processes(server, "supervisor host")
        server.start("kill", "-STOP", worker).wait(10)
        wait_for(lambda: "and is replaced" in server.logs, seconds=30, still=server)
        wait_for(lambda: worker not in processes(server, "supervisor host"), seconds=30, still=server)
        server.await_ready()
        assert "as the kernel does" not in server.logs  # it was the supervisor


@pytest.mark.parametrize("seconds", [0, 0.2, 0.5, 1, 1.5])
def test_sigterm_ends_it_at_any_moment_of_a_start(manifests: list[Manifest], volume: Path, seconds: float) -> None:
    """PID 1 has no default handlers, so that a signal is lost before it has one of its own, and not once it has."""
    with running(manifests, volume) as server:
        wait_for(lambda: catches_sigterm(server), seconds=30, still=server)
        time.sleep(seconds)
        code, took = server.stop()
    assert code in (0, 143)
    assert took < 15


def catches_sigterm(server: Pod) -> bool:
    """Whether its command has a handler by now: Python takes a while to start on a busy machine."""
    (caught,) = re.findall(r"SigCgt:\s(\w+)", Path(f"/proc/{server.pid}/status").read_text(encoding="ascii"))
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


def test_both_families_of_addresses_are_listened_on(manifests: list[Manifest], volume: Path) -> None:
    """On an IPv6 cluster the kubelet and the Service reach the pod by IPv6 only."""
    with running(manifests, volume) as server:
        server.await_ready()
        for port in (43800, 43801):
            assert server.start("curl", "-sfg", f"http://[::1]:{port}/readyz").wait(10) == 0


def test_a_tracking_server_of_the_former_pod_keeps_its_locks(manifests: list[Manifest], volume: Path) -> None:
    """It is a container of its own and may drain longer than the server beside it."""
    with running(manifests, volume, host="old") as old:
        old.await_ready()
        old.client("hold_creation_lock").wait(60)
        with training(manifests, volume, host="old") as tracking:
            hold = "import fcntl, time; f = open('/aim/.aim-tracking.lock', 'w'); f.write('old'); f.flush()"
            holder = tracking.start("python3", "-uc", f"{hold}; fcntl.lockf(f, fcntl.LOCK_EX); print(); time.sleep(90)")
            assert holder.stdout
            holder.stdout.readline()
            old.kill()
            with running(manifests, volume, host="new") as new:
                new.await_ready()
                assert "the tracking server on host old still runs" in new.logs
                assert (volume / ".aim/locks/structured_db_lock").exists()

"""The pod of the committed manifests with the real Aim: every fault ends in service or in a clear refusal."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import cdk8s
import pytest
import yaml

from tests.harness.building import aim_server, dynamic
from tests.harness.manifest_rules import Manifest, pod_of
from tests.harness.sandbox import (
    PORT,
    Pod,
    assert_all_there,
    disk,
    fill,
    own,
    running,
    skip,
    training,
    wait_for,
    written,
)

ROOT = Path(__file__).resolve().parents[2]
LOCK = ".aim/locks/structured_db_lock"


@pytest.fixture
def manifests() -> list[Manifest]:
    """The committed manifests."""
    return list(yaml.safe_load_all((ROOT / "dist/aim.k8s.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def trainer(manifests: list[Manifest], volume: Path) -> Iterator[Pod]:
    """A pod of somebody else's on the same volume."""
    with training(manifests, volume) as started:
        yield started


def refusal(manifests: list[Manifest], volume: Path, **options: str) -> str:
    """The last line of a container that ends with status 1 instead of serving."""
    with running(manifests, volume, **options) as server:
        code, line = server.ended()
    assert code == 1
    return line


def test_an_empty_volume_is_served_and_answers_every_probe(manifests: list[Manifest], volume: Path) -> None:
    """The probes' own paths answer 200, on a root that cannot be written to and as the pod's user."""
    pod = pod_of(manifests)
    with running(manifests, volume) as server:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = pod["containers"][0][probe]["httpGet"]
            wait_for(partial(server.get, asked["path"], port=asked["port"]), seconds=90, still=server)
        assert (volume / ".aim/VERSION").exists()
        assert server.get("/api/projects/params") is not None


def test_sigterm_ends_with_status_0(manifests: list[Manifest], volume: Path) -> None:
    """An idle server stops at once, though it is PID 1; everything it started ends with its namespace."""
    with running(manifests, volume) as server:
        server.await_ready()
        code, seconds = server.stop()
        assert code == 0
        assert seconds < 10
        assert server.logs.strip().endswith("aim-supervisor: stopped")


def connections(server: Pod) -> int:
    """How many clients are connected to the web server."""
    tables = (Path(f"/proc/{server.pid}/net/{name}").read_text(encoding="ascii") for name in ("tcp", "tcp6"))
    sockets = [line.split() for table in tables for line in table.splitlines()]
    return sum(fields[1].endswith(f":{PORT:04X}") and fields[3] == "01" for fields in sockets)


def test_a_running_query_is_finished_before_the_end(manifests: list[Manifest], volume: Path, trainer: Pod) -> None:
    """A query that runs at SIGTERM gets its whole answer."""
    everything = "/api/runs/search/run/?q="
    # without progress, of which a slower answer says more
    query = everything + quote("sum(1 for n in range(200) if ('x' * 9999).split('x'))") + "&report_progress=false"
    with running(manifests, volume) as server:
        server.await_ready()
        runs = written(trainer.client("write", "--runs", 30, "--points", 1))
        wait_for(
            lambda: all(run in (server.get("/api/runs/search/run/") or "") for run in runs), seconds=60, still=server
        )
        whole = len(server.get(query, timeout=60) or "")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answers = [pool.submit(server.get, query, timeout=60) for _ in range(2)]
            wait_for(lambda: connections(server) == 2, seconds=60, still=server)
            time.sleep(0.5)  # they are accepted meanwhile, and take longer than that
            code, _ = server.stop()
        lengths = [len(answer) for each in answers if (answer := each.result()) is not None]
    assert code == 0
    assert lengths
    assert all(abs(length - whole) < whole / 10 for length in lengths)


def test_sigterm_while_it_starts_ends_it_too(manifests: list[Manifest], volume: Path) -> None:
    """A pod that is deleted before it is ready does not wait for its grace period."""
    with running(manifests, volume) as server:
        wait_for(lambda: "initialising" in server.logs, seconds=30, still=server)
        assert server.stop()[0] == 0


@pytest.mark.parametrize("number", range(10))
def test_an_initialisation_killed_at_any_moment_is_healed(
    manifests: list[Manifest], volume: Path, trainer: Pod, number: int
) -> None:
    """Whatever is left of it, the next pod completes it and serves, under another name too."""
    with running(manifests, volume, host="first") as server:
        wait_for(lambda: "initialising" in server.logs, seconds=30, still=server)
        time.sleep(random.Random(number).uniform(0, 1.5))
        server.kill()
    with running(manifests, volume, host="second") as server:
        server.await_ready()
        assert_all_there(written(trainer.client("write")), server)


def test_a_repository_without_a_version_keeps_its_runs(manifests: list[Manifest], volume: Path, trainer: Pod) -> None:
    """`aim up` would ask whether to overwrite it, and `aim up --yes` would."""
    trainer.client("init").wait(60)
    runs = written(trainer.client("write", "--runs", 2))
    (volume / ".aim/VERSION").unlink()
    (volume / "lost+found").mkdir()
    with running(manifests, volume) as server:
        server.await_ready()
        assert_all_there(runs, server)
    assert (volume / ".aim/VERSION").exists()


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("2.0", "says 2.0, and this Aim reads 1.3: use the image of Aim that wrote it"),
        ("1.4", "says 1.4, and this Aim reads 1.3"),
        ("0.9", "says 0.9, and this Aim reads 1.3"),
        ("x", "says 'x', no version of Aim's"),
    ],
)
def test_a_repository_of_another_version_is_refused(
    manifests: list[Manifest], volume: Path, version: str, reason: str
) -> None:
    """The last line names the file and the way out, and nothing is touched."""
    (volume / ".aim").mkdir()
    (volume / ".aim/VERSION").write_text(version, encoding="utf-8")
    own(volume / ".aim", volume / ".aim/VERSION")
    line = refusal(manifests, volume)
    assert f"/aim/.aim/VERSION {reason}" in line
    assert [path.name for path in (volume / ".aim").iterdir()] == ["VERSION"]


def test_something_else_called_aim_is_refused(manifests: list[Manifest], volume: Path) -> None:
    """Whatever it is, it is not ours to write into."""
    (volume / ".aim/photos").mkdir(parents=True)
    own(volume / ".aim", volume / ".aim/photos")
    line = refusal(manifests, volume)
    assert "/aim/.aim is no repository of Aim 3, it has photos in it: move it away" in line


def test_a_volume_that_cannot_be_written_is_refused(manifests: list[Manifest], volume: Path) -> None:
    """The line names the path, its owner, the user, and both ways out."""
    if os.geteuid() != 0:
        skip("only root can give folders away")
    os.chown(volume, 0, 0)
    line = refusal(manifests, volume)
    assert "/aim belongs to uid 0, gid 0, and uid 10001, gid 10001 cannot write to it" in line
    assert "chown -R 10001:10001" in line
    assert "storage.owner" in line


def test_a_port_in_use_is_the_last_line(manifests: list[Manifest], volume: Path) -> None:
    """`aim up` ends with 0 here."""
    listen = "import socket, time; taken = socket.create_server(('', 43800)); time.sleep(60)"
    with running(manifests, volume) as server:
        squatter = server.start("python3", "-c", listen)
        code, line = server.ended()
        squatter.wait(10)
    assert code == 1
    assert "cannot listen on port 43800 of this pod: Address already in use" in line


def test_a_migration_that_fails_is_the_last_line(manifests: list[Manifest], volume: Path) -> None:
    """`aim up` ends with 0 here too; a newer Aim leaves such a database."""
    with running(manifests, volume) as server:
        server.await_ready()
        server.stop()
    with contextlib.closing(sqlite3.connect(volume / ".aim/aim_db")) as database:
        database.execute("CREATE TABLE reports_of_tomorrow AS SELECT 1")
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()
    line = refusal(manifests, volume)
    assert "cannot bring /aim/.aim/aim_db to this version of Aim" in line
    assert "ffffffffffff" in line
    assert "a newer Aim wrote it" in line


def test_an_image_without_aim_is_the_last_line(manifests: list[Manifest], volume: Path) -> None:
    """Whoever chose the image is told so."""
    only_python = f"{sys.base_prefix}/bin"
    line = refusal(manifests, volume, path=only_python)
    assert "no `aim` on PATH: use an image with Aim in it" in line


def test_a_second_server_waits_for_the_first(manifests: list[Manifest], volume: Path) -> None:
    """As when a pod is deleted and its replacement starts while it still drains on another node."""
    with running(manifests, volume, host="old") as old:
        old.await_ready()
        with running(manifests, volume, host="new") as new:
            wait_for(lambda: "waiting for the pod old" in new.logs, seconds=30, still=new)
            time.sleep(3)
            assert new.get("/") is None
            old.stop()
            new.await_ready()


def test_a_dead_indexer_ends_the_container(manifests: list[Manifest], volume: Path, trainer: Pod) -> None:
    """A second indexer takes the index's lock; with `aim up`, every answer is 200 and nothing is found any more."""
    with running(manifests, volume) as server:
        server.await_ready()
        thief = trainer.client("hold_index")
        assert thief.stdout
        assert thief.stdout.readline() == "held\n"
        writer = trainer.client("write")
        code, line = server.ended(seconds=60)
        runs = written(writer)
    assert code == 1
    assert "the indexer ended with exit code 1: Aim's thread for" in line
    assert "lock" in line.lower()
    trainer.start("/bin/sh", "-c", "kill -9 -1").wait(10)
    with running(manifests, volume) as server:
        server.await_ready()
        search = "/api/runs/search/run/?q=run.number%20%3D%3D%200"
        wait_for(lambda: next(iter(runs)) in (server.get(search) or ""), seconds=30, still=server)


def test_a_run_that_ended_while_the_indexer_was_held_up_is_found(
    manifests: list[Manifest], volume: Path, trainer: Pod
) -> None:
    """Aim indexes a run when it sees it change, and would never see this one: it looks again twice a minute."""
    with running(manifests, volume) as server:
        server.await_ready()
        for name in ("STOP", "CONT"):
            server.start("/bin/sh", "-c", f'kill -{name} $(pgrep -f "[s]upervisor index")').wait(10)
            if name == "STOP":
                runs = written(trainer.client("write"))
        assert_all_there(runs, server)


def test_a_volume_that_disappears_ends_the_container(manifests: list[Manifest], volume: Path, trainer: Pod) -> None:
    """Ten seconds without the repository kill `aim up`'s indexer for good; the next container serves again."""
    with running(manifests, volume) as server:
        server.await_ready()
        runs = written(trainer.client("write"))
        (volume / ".aim").rename(volume / "gone")
        time.sleep(10)
        with contextlib.suppress(OSError):
            (volume / "gone").rename(volume / ".aim")
        assert server.ended(seconds=60)[0] == 1
    with running(manifests, volume) as server:
        server.await_ready()
        assert_all_there(runs, server)


def test_a_lock_left_by_a_killed_server_is_removed_at_once(
    manifests: list[Manifest], volume: Path, trainer: Pod
) -> None:
    """Killed while it creates a run, it is followed by one of another name that takes new runs at once."""
    with running(manifests, volume, host="old") as server:
        server.await_ready()
        server.client("hold_creation_lock").wait(60)
        assert (volume / LOCK).exists()
        server.kill()
    with running(manifests, volume, host="new") as server:
        server.await_ready()
        assert not (volume / LOCK).exists()
        assert "removed structured_db_lock, left behind by host old" in server.logs
        assert_all_there(written(trainer.client("write")), server)


def test_no_run_is_lost_by_twenty_kills(manifests: list[Manifest], volume: Path, trainer: Pod) -> None:
    """Two writers record while the server is killed and started again and again; every run and point is there."""
    moments = random.Random(3)
    trainer.client("init").wait(60)
    writers = [trainer.client("write", "--name", name, "--runs", 40, "--pause", 0.03) for name in ("a", "b")]
    for number in range(20):
        with running(manifests, volume, host=f"aim-{number}") as server:
            time.sleep(moments.uniform(0, 4))
            server.kill()
    runs = {run: points for writer in writers for run, points in written(writer).items()}
    assert len(runs) == 80
    with running(manifests, volume) as server:
        server.await_ready()
        assert_all_there(runs, server)


def test_a_full_disk_loses_no_run(manifests: list[Manifest], volume: Path) -> None:
    """It is served meanwhile, and takes runs again when there is room."""
    with disk(volume, "24m"):
        with running(manifests, volume) as server:
            server.await_ready()
            runs = written(server.client("write", "--runs", 2))
            fill(volume / "filler")
            assert server.client("write").wait(60) != 0
        with running(manifests, volume) as server:
            server.await_ready()
            (volume / "filler").unlink()
            runs |= written(server.client("write"))
            assert_all_there(runs, server)


def test_the_base_path_is_that_of_server_and_redirects(chart: cdk8s.Chart, volume: Path) -> None:
    """With a base path the page and the API are below it, and nothing is beside it; the probes ask beside it."""
    aim_server(chart, "server", storage=dynamic(chart), base_path="/x/y")
    manifests = list(cdk8s.Testing.synth(chart))
    pod = pod_of(manifests)
    with running(manifests, volume) as server:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = pod["containers"][0][probe]["httpGet"]
            wait_for(partial(server.get, asked["path"], port=asked["port"]), seconds=90, still=server)
        assert "/x/y/static-files" in (server.get("/x/y") or "")
        assert server.get("/api/projects/pinned-sequences") is None


def test_open_files_are_limited_by_the_hard_limit_only(manifests: list[Manifest], volume: Path) -> None:
    """The runtime's soft limit, 256 here, would be used up by some eighty runs."""
    with running(manifests, volume) as server:
        server.await_ready()
        show = (
            'for p in /proc/[0-9]*; do echo "$(cat $p/cmdline | tr "\\0" " ") : $(grep "open files" $p/limits)"; done'
        )
        lines = server.start("/bin/sh", "-c", show).communicate(timeout=10)[0].splitlines()
    limits = [line.split()[-3:-1] for line in lines if " -m supervisor " in line]
    assert len(limits) >= 3
    assert all(soft == hard != "256" for soft, hard in limits)

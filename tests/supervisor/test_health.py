"""What the kubelet is answered."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from constructs_lib.supervisor import Refusal
from constructs_lib.supervisor.health import SILENCE_SECONDS, Health, ask
from constructs_lib.supervisor.metrics import Metrics, watch_volume
from constructs_lib.supervisor.notes import LAST_ATTEMPT, LAST_BACKUP, LAST_DRILL, note, note_attempt, read_json
from constructs_lib.supervisor.patches.asgi import Receive, Scope, Send
from constructs_lib.supervisor.refused import RefusedRequests, reporter
from constructs_lib.supervisor.trash import TRASH
from tests.supervisor.asgi_client import ask as ask_page


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def fetched(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    """Status and body of a page, as the kubelet reads it."""
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def asked(health: Health, *paths: str, host: str = "127.0.0.1") -> list[tuple[int, str]]:
    """What the health port answers to some paths."""

    async def ask_all() -> list[tuple[int, str]]:
        port = free_port()
        servers = await health.listen(port)
        answers = [await asyncio.to_thread(fetched, port, path, host) for path in paths]
        for server in servers:
            server.close()
        return answers

    return asyncio.run(ask_all())


def test_a_server_that_starts_says_what_it_waits_for() -> None:
    """The reason is the body of startup and readiness probe; liveness is nobody's business yet."""
    health = Health()
    health.waiting_for = "waiting for the pod old"
    start, ready, live = asked(health, "/startz", "/readyz", "/livez")
    assert start == ready == (503, "waiting for the pod old\n")
    assert live == (200, "ok\n")


def test_a_server_that_has_answered_is_ready() -> None:
    """Notes for people stand below the verdict."""
    health = Health()
    health.answered("")
    health.notes["index"] = "3 of 4 runs"
    assert asked(health, "/startz", "/readyz", "/livez") == [(200, "ok\nindex: 3 of 4 runs\n")] * 3


def test_a_server_that_fails_is_not_ready_but_alive() -> None:
    """A restart would not bring the volume back."""
    health = Health()
    health.answered("")
    health.answered("the server answers 500")
    start, ready, live = asked(health, "/startz", "/readyz", "/livez")
    assert (start[0], ready, live[0]) == (200, (503, "the server answers 500\n"), 200)


def test_a_server_that_stops_is_not_ready() -> None:
    """New connections go elsewhere, or wait, while running queries are answered."""
    health = Health()
    health.answered("")
    health.stop()
    assert asked(health, "/readyz", "/livez") == [(503, "the server is stopping\n"), (200, "ok\n")]


def test_a_silent_server_is_alive_for_two_minutes(clock: list[float]) -> None:
    """A search can hold up every worker for a minute; a loop that hangs does so for ever."""
    health = Health()
    health.answered("")
    health.silent("no answer")
    clock[0] += SILENCE_SECONDS
    assert asked(health, "/livez")[0][0] == 200
    clock[0] += 1
    assert asked(health, "/livez") == [(503, "no answer from the server for 121 s: no answer\n")]


def test_the_health_port_has_these_pages_only() -> None:
    """Whatever comes later behind a login, this port tells nothing about runs."""
    status, text = asked(Health(), "/api/runs")[0]
    assert (status, text) == (404, "there are /startz, /readyz, /livez, /metrics\n")


def test_the_kubelet_of_an_ipv6_cluster_is_answered() -> None:
    """Its probes come to the pod's IPv6 address."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this kernel has no IPv6")
    health = Health()
    health.answered("")
    assert asked(health, "/readyz", host="[::1]")[0][0] == 200


def test_a_client_that_says_nothing_or_nonsense_holds_up_nobody() -> None:
    """Each connection is on its own."""

    async def scenario() -> int:
        health, port = Health(), free_port()
        health.answered("")
        servers = await health.listen(port)
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        _, nonsense = await asyncio.open_connection("127.0.0.1", port)
        nonsense.write(b"\r\n\r\n")
        status = (await asyncio.to_thread(fetched, port, "/livez"))[0]
        silent.close()
        nonsense.close()
        for server in servers:
            server.close()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
        return status

    assert asyncio.run(scenario()) == 200


def test_a_taken_health_port_is_refused() -> None:
    """Two containers of one pod share their ports."""
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refusal, match=f"cannot listen on port {port} of this pod"):
            asyncio.run(Health().listen(port))


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ("200 OK", ""),
        ("500 Internal Server Error", "the server answers 500 to /page"),
        ("nothing", "it closed the connection"),
    ],
)
def test_the_answer_of_the_server_is_noted(status: str, problem: str) -> None:
    """Anything but 200 is a problem, and named."""

    async def scenario() -> Health:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /page HTTP/1.1\r\nHost: aim.example.com\r\n")
            writer.write(b"" if status == "nothing" else f"HTTP/1.1 {status}\r\n\r\nbody".encode())
            writer.close()

        health, port = Health(), free_port()
        async with await asyncio.start_server(answer, "127.0.0.1", port):
            await ask(health, "", port, "/page", name="aim.example.com")
        return health

    health = asyncio.run(scenario())
    assert problem in health.problem
    assert health.started is (status == "200 OK")


def test_a_server_that_refuses_connections_is_a_problem() -> None:
    """It is not there yet, or not any more."""
    health = Health()
    asyncio.run(ask(health, "", free_port(), "/page"))
    assert "does not answer" in health.problem
    assert not health.started


def test_metrics_are_in_the_format_of_prometheus() -> None:
    """Its own parser reads them, whatever is in a label."""
    health = Health()
    cause = 'a "cause"\\of\nlines'
    health.metrics.count("aim_worker_restarts_total", cause=cause)
    health.metrics.count("aim_worker_restarts_total", cause=cause)
    health.metrics.set("aim_runs", 300)
    health.answered("")
    ((status, text),) = asked(health, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {name: [(each.labels, each.value) for each in family.samples] for name, family in families.items()}
    assert status == 200
    assert families["aim_worker_restarts"].type == "counter"
    assert samples["aim_worker_restarts"] == [({"cause": cause}, 2)]
    assert samples["aim_runs"] == [({}, 300)]
    assert samples["aim_up"] == [({}, 1)]
    assert [labels["state"] for labels, value in samples["aim_state"] if value] == ["ready"]


def test_metrics_say_that_a_server_starts_fails_and_stops() -> None:
    """One of the states is 1, the others are 0."""

    def state(health: Health) -> list[str]:
        ((_, text),) = asked(health, "/metrics")
        (family,) = [each for each in text_string_to_metric_families(text) if each.name == "aim_state"]
        return [each.labels["state"] for each in family.samples if each.value]

    health = Health()
    assert state(health) == ["starting"]
    health.answered("")
    health.silent("it hangs")
    assert state(health) == ["unready"]
    health.stop()
    assert state(health) == ["stopping"]


def values_of(text: str) -> dict[str, float]:
    """Metrics without labels, and those with the value of their only one behind a colon."""
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    return {":".join([each.name, *each.labels.values()]): each.value for each in samples}


def test_the_lag_of_the_index_grows_until_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """An indexer that is stuck reports nothing more: the lag grows without it."""
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    metrics = Metrics()
    metrics.set_since("aim_index_lag_seconds", 990.0)
    assert values_of(metrics.text())["aim_index_lag_seconds"] == 10
    now[0] += 600
    assert values_of(metrics.text())["aim_index_lag_seconds"] == 610
    metrics.set_since("aim_index_lag_seconds", 0)
    assert values_of(metrics.text())["aim_index_lag_seconds"] == 0


def test_refused_requests_are_told_once_each() -> None:
    """A worker tells each second what is new, and nothing where there is nothing."""
    answers = [200, 403, 404, 413, 403, 421]

    async def refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": answers.pop(0), "headers": []})

    told: list[dict[str, int]] = []
    guarded = RefusedRequests(refuse)
    tell = reporter(guarded.counts, told.append)
    for _ in range(5):
        ask_page(guarded, "/")
    tell()
    tell()
    ask_page(guarded, "/")
    tell()
    assert told == [{"origin": 2, "body": 1}, {"host": 1}]


def test_metrics_of_the_volume_tell_of_backups_and_room(tmp_path: Path) -> None:
    """What a backup and a drill have noted on the volume, and half a file of it is none."""

    async def watched() -> Metrics:
        metrics = Metrics()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(watch_volume(tmp_path, metrics), 1)
        return metrics

    note_attempt(tmp_path)
    tried = read_json(tmp_path / LAST_ATTEMPT)["tried"]
    note_attempt(tmp_path)
    assert read_json(tmp_path / LAST_ATTEMPT)["tried"] == tried
    note(tmp_path / LAST_BACKUP, made=1.5, runs=7)
    note_attempt(tmp_path)
    (tmp_path / TRASH / "1700000000.000-abc").mkdir(parents=True)
    (tmp_path / LAST_DRILL).write_text('{"runs"', encoding="utf-8")
    text = asyncio.run(watched()).text()
    values = values_of(text)
    assert (values["aim_backup_made_timestamp_seconds"], values["aim_backup_runs"]) == (1.5, 7)
    assert values["aim_backup_tried_timestamp_seconds"] == values["aim_backup_started_timestamp_seconds"] > tried
    assert 0 < values["aim_volume_free_bytes"] <= values["aim_volume_size_bytes"]
    assert 0 < values["aim_volume_used_bytes"] < values["aim_volume_size_bytes"]
    assert values["aim_trash_runs"] == 1
    assert "aim_drill_runs" not in values

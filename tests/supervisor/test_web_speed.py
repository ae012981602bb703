"""The web application with many runs: how it works with the patches, beside how it works without, on one repository."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.supervisor.patches.searches import ReadAhead
from tests.harness.aim_environment import run
from tests.harness.sandbox import need_aim

RUNS = 40
INDEXED = RUNS - 2

Seen = dict[str, Any]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seen, Seen]:
    """What was seen of Aim as it is, and of Aim with the patches."""
    need_aim()
    folder = tmp_path_factory.mktemp("web")
    repository = folder / "repository"  # its path is part of some answers
    repository.mkdir()
    *runs, late, broken = done(repository, "write", "--runs", RUNS)
    shutil.copytree(repository, folder / "original")
    special = ["--late", late, "--broken", broken, "--torn", runs[10]]
    bare = done(repository, "main", *special)
    shutil.rmtree(repository)
    (folder / "original").rename(repository)
    return bare, done(repository, "main", "--patched", *special)


def done(repository: Path, action: str, *options: object) -> Any:
    """Run a command of `aim_web_speed.py`; what it prints."""
    return json.loads(run(Path(__file__).with_name("aim_web_speed.py"), action, repository, *options))


def test_what_pages_ask_for_is_answered_byte_for_byte_as_before(seen: tuple[Seen, Seen]) -> None:
    """Faster is not other; the answers are there, and not empty."""
    bare, patched = ([(page["status"], page["body"]) for page in each["pages"]] for each in seen)
    assert patched == bare
    assert {status for status, _ in patched} == {200}
    assert sum(len(body) > 0 for _, body in patched) > 12


@pytest.mark.parametrize(
    ("what", "bare", "patched"),
    [
        ("runs opened by /api/projects/", RUNS, 0),
        ("stores open after it", RUNS, 0),
        ("stores open when idle", RUNS, 0),
        ("stores open when idle without an index", RUNS, 0),
        ("slept in a search", RUNS, 0),
        ("stores opened in turn", INDEXED, 0),
        ("stores opened ahead", 0, INDEXED),
    ],
)
def test_effort_does_not_grow_with_the_runs(seen: tuple[Seen, Seen], what: str, bare: int, patched: int) -> None:
    """Opened, held and waited for: what Aim does once for each run."""
    assert [each[what] for each in seen] == [bare, patched]


def test_a_request_opens_the_index_once(seen: tuple[Seen, Seen]) -> None:
    """Aim opens it for each kind of sequence, each type of value, and each context."""
    bare, patched = (each["index opened by /api/projects/params/"] for each in seen)
    assert bare > 10
    assert patched == 1
    assert seen[1]["index open after it"] == 0


def test_results_of_a_moment_are_sent_together(seen: tuple[Seen, Seen]) -> None:
    """Each message goes through a dozen layers, and through gzip."""
    bare, patched = (each["messages"] for each in seen)
    assert bare > INDEXED
    assert patched < bare / 2


def test_a_search_does_not_begin_anew_when_others_ask_for_trifles(seen: tuple[Seen, Seen]) -> None:
    """Nobody has changed the database meanwhile, so its runs need not be read at all."""
    bare, patched = (each["runs read beside small requests"] for each in seen)
    assert bare > 1
    assert patched == 0


def test_runs_that_have_not_changed_are_not_read_again(seen: tuple[Seen, Seen]) -> None:
    """The store of a run takes longest to open; that of one that was resumed is opened again."""
    bare, patched = (each["stores opened by the same search, again, after a change"] for each in seen)
    assert patched == [bare[0], 0, 1]
    assert bare[1] == bare[0]


def test_what_is_remembered_is_what_is_there(seen: tuple[Seen, Seen]) -> None:
    """The same answer while nothing has changed, and all that has."""
    assert seen[1]["answered again as before"]
    assert seen[1]["change found"] == [True, True, True]
    assert seen[1]["renamed experiment found"] == [False, True]


def test_small_requests_are_answered_beside_a_search(seen: tuple[Seen, Seen]) -> None:
    """A search of sequences does not pause before a run that its query does not exclude."""
    bare, patched = (each["small requests answered beside a search"] for each in seen)
    assert bare < 5
    assert patched > 2 * RUNS  # 20 turns in a pause, after a run or a few


def test_a_search_has_a_bound_and_then_fails(seen: tuple[Seen, Seen]) -> None:
    """An answer without the runs that were left would look complete."""
    bare, patched = (each["costly search"] for each in seen)
    assert bare is None
    assert "TooCostlyError" in patched


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("renamed run found", [False, True, True]),
        ("deleted run found", [True, False, False]),
        ("new run found", [False, True, True]),
    ],
)
def test_what_others_change_counts_for_the_next_request(seen: tuple[Seen, Seen], what: str, found: list[bool]) -> None:
    """Even if a search is still running in that process that began before."""
    assert seen[1][what] == found


def test_a_write_that_fails_does_not_break_later_ones(seen: tuple[Seen, Seen]) -> None:
    """Aim cannot write in that process any more after a commit that failed, as on a full volume."""
    assert [each["writes to a locked database, and then"] for each in seen] == [[500, 500], [500, 200]]


def test_a_search_fails_at_the_run_that_cannot_be_read(seen: tuple[Seen, Seen]) -> None:
    """All that was found before it is sent, though its store has been tried before."""
    bare, patched = ([each["search of a torn store"][part] for part in ("status", "body", "error")] for each in seen)
    assert patched == bare
    assert patched[0] == 200
    assert len(patched[1]) > 20_000
    assert "CURRENT" in patched[2] or "MANIFEST" in patched[2]


def failing() -> Iterator[tuple[None, int]]:
    """Five runs without sequences, and then one that cannot be read."""
    for number in range(5):
        yield None, number
    raise ValueError("cannot be read")


def test_looking_ahead_does_not_let_a_search_fail_earlier() -> None:
    """Runs before the one that fails are given first."""
    runs = ReadAhead(failing()).iter_runs()
    assert [next(runs)[1] for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="cannot be read"):
        next(runs)


def test_a_run_that_cannot_be_read_is_told_as_before(seen: tuple[Seen, Seen]) -> None:
    """A run that is not indexed yet is none."""
    assert [each["warnings"] for each in seen] == [[False, True, True]] * 2

"""The guard of queries, in the real Aim, on one repository that has a run for each query to find."""

from __future__ import annotations

import ast
import base64
import json
import re
import shutil
from encodings import punycode
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.supervisor.patches.costs import RefusedError
from constructs_lib.supervisor.patches.queries import bound_punycode
from tests.harness.aim_environment import ENVIRONMENT, MISSING, run
from tests.harness.sandbox import need_aim, skip
from tests.supervisor.queries import COSTLY, LEGITIMATE, OF_SEQUENCES, READING, REFUSED_BY_AIM, RUNNING

RUNS, METRICS = "/api/runs/search/run/", "/api/runs/search/metric/"
SEARCHES = {RUNS, *(f"/api/runs/search/{kind}/" for kind in OF_SEQUENCES)}
"""What evaluates queries."""

WRITTEN = [(path, query) for query in LEGITIMATE for path in (RUNS, METRICS)]
WRITTEN += [(f"/api/runs/search/{kind}/", query) for kind, queries in OF_SEQUENCES.items() for query in queries]
"""Queries that people write, and where: a search of metrics first asks each run for what concerns runs alone."""

NOTHING = {"status": 200, "body": "", "ran": False}
"""No run is found, and no file made."""

Question = dict[str, Any]
Answer = dict[str, Any]
Answers = dict[tuple[str, str], Answer]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a repository."""
    need_aim()
    folder = tmp_path_factory.mktemp("queries")
    (folder / "repository").mkdir()
    aim(folder / "repository", "write")
    return folder


def aim(repository: Path, action: str, *options: str, questions: list[Question] | None = None) -> str:
    """Run a command of `aim_queries.py`; its output."""
    limited = ["prlimit", f"--as={6 * 2**30}"]  # a query that takes all memory fails by itself
    script = Path(__file__).with_name("aim_queries.py")
    return run(script, action, repository, *options, given=json.dumps(questions or []), within=limited)


def ask(folder: Path, *options: str, questions: list[Question], action: str = "ask") -> list[Answer]:
    """Answers of one process to questions, on a copy of the repository."""
    name = "-".join([action, *options, str(len(list(folder.iterdir())))])
    copy = Path(shutil.copytree(folder / "repository", folder / name))
    return json.loads(aim(copy, action, *options, questions=questions))  # type: ignore[no-any-return]


def answers_of(folder: Path, *options: str) -> Answers:
    """Answers to every query but the costly ones."""
    attacks = [(path, query) for query in (*RUNNING, *READING, *REFUSED_BY_AIM) for path in (RUNS, METRICS)]
    questions = WRITTEN + attacks  # in this order: some attacks of Aim's own guard change its process
    answers = ask(folder, *options, questions=[{"path": path, "query": query} for path, query in questions])
    return dict(zip(questions, answers, strict=True))


@pytest.fixture(scope="module")
def bare(folder: Path) -> Answers:
    """Answers of Aim with its own guard."""
    return answers_of(folder)


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Answers:
    """Answers of Aim with this project's guard."""
    return answers_of(folder, "--guarded")


@pytest.mark.parametrize(("path", "query"), WRITTEN)
def test_a_query_that_people_write_is_answered_byte_for_byte_as_before(
    bare: Answers, guarded: Answers, path: str, query: str
) -> None:
    """The guard takes nothing from those who search; errors are told as before, too."""
    assert guarded[path, query] == bare[path, query]


def test_queries_that_people_write_tell_runs_apart(guarded: Answers) -> None:
    """Equal answers mean something: there are many of them, and most are neither all runs nor none."""
    assert len({guarded[question]["body"] for question in WRITTEN}) > 40


@pytest.mark.parametrize("query", RUNNING)
def test_an_escape_runs_nothing(bare: Answers, guarded: Answers, query: str) -> None:
    """Aim's own guard lets each of them make a file."""
    assert bare[RUNS, query]["ran"], "no escape of Aim's guard"
    assert [guarded[path, query] for path in (RUNS, METRICS)] == [NOTHING] * 2


@pytest.mark.parametrize("query", READING)
def test_an_escape_reads_nothing(bare: Answers, guarded: Answers, query: str) -> None:
    """Aim's own guard lets each of them find runs by what is not a run's."""
    assert bare[RUNS, query]["body"], "no escape of Aim's guard"
    assert [guarded[path, query] for path in (RUNS, METRICS)] == [NOTHING] * 2


@pytest.mark.parametrize("query", REFUSED_BY_AIM)
def test_what_aim_refuses_itself_stays_refused(guarded: Answers, query: str) -> None:
    """And is no longer an error of the server."""
    assert [guarded[path, query] for path in (RUNS, METRICS)] == [NOTHING] * 2


def test_no_expression_takes_the_server_for_itself(folder: Path) -> None:
    """Each of them would take minutes or gigabytes; the process may have six of these."""
    questions = [{"path": RUNS, "query": query} for query in COSTLY]
    answers = ask(folder, "--guarded", "--timed", questions=questions)
    seconds = [answer.pop("seconds") for answer in answers]
    assert dict(zip(COSTLY, answers, strict=True)) == dict.fromkeys(COSTLY, NOTHING)
    assert max(seconds) < 15


def test_a_query_that_is_too_long_or_too_deep_finds_nothing(folder: Path) -> None:
    """Parsing it would end a worker of an older Python, or fail with pages of traceback in the log."""
    deep = [
        "run" + ".a" * 900,
        "run" + ".a" * 100_000,
        "1" + "+1" * 100_000,
        "0x" + "f" * 9000,
        "[0" + " for a in []" * 9000 + "]",
    ]
    questions = [{"path": path, "query": query} for path in sorted(SEARCHES) for query in deep]
    answers = ask(folder, "--guarded", "--timed", questions=questions)
    seconds = [answer.pop("seconds") for answer in answers]
    assert [answer["status"] for answer in answers] == [200] * len(questions)
    assert {answer["body"] for answer in answers} <= {"", base64.b64encode(b"[]").decode()}
    assert max(seconds) < 5


def test_recorded_bytes_are_decoded_by_no_codec_that_takes_the_square_of_their_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A million of them would take a worker for a quarter of a minute, at each evaluation."""
    monkeypatch.setattr(punycode, "punycode_decode", punycode.punycode_decode)
    bound_punycode()
    assert str(b"bcher-kva", "punycode") == "b\u00fccher"
    with pytest.raises(RefusedError, match="at most 10000 characters"):
        str(b"a" * 100_000, "punycode")


# --- who evaluates queries ---

_EVALUATES = re.compile(
    r"^(eval|exec|compile|compile_restricted\w*|compile_checker|syntax_error_check|RestrictedPython\w*)$"
)


def evaluating(source: str) -> set[str]:
    """Names of functions that compile or evaluate expressions, among those that a module calls."""
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {func.id for func in called if isinstance(func, ast.Name) and _EVALUATES.match(func.id)}


def test_each_place_that_evaluates_an_expression_is_known() -> None:
    """Another one, in another Aim, has to be looked at."""
    package = next(ENVIRONMENT.glob("lib/python*/site-packages/aim"), None) or skip(MISSING)
    modules = {str(path.relative_to(package)): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert {name: found for name, source in modules.items() if (found := evaluating(source))} == {
        "storage/query.py": {"compile", "compile_checker", "compile_restricted", "eval"},
        "sdk/sequence_collection.py": {"RestrictedPythonQuery"},
        "web/api/runs/utils.py": {"syntax_error_check"},
    }
    compiled = [path.name for path in package.rglob("*.pyx") if re.search(r"\b(eval|exec|compile)\(", path.read_text())]
    assert compiled == []


def test_each_search_of_the_web_server_is_guarded(folder: Path) -> None:
    """Every path that takes a query is found in the application itself, and given one that makes a file."""
    paths = [path + "/" for path in json.loads(aim(folder / "repository", "list_searches"))]
    questions = [{"path": path, "query": RUNNING[0]} for path in paths]
    bare, guarded = ask(folder, questions=questions), ask(folder, "--guarded", questions=questions)
    assert {path for path, answer in zip(paths, bare, strict=True) if answer["ran"]} == SEARCHES
    assert [answer["ran"] for answer in guarded] == [False] * len(paths)
    assert {answer["body"] for answer in guarded} <= {"", base64.b64encode(b"[]").decode()}


SAVED: list[Question] = [
    {"path": "/api/apps/", "method": "POST", "content": {"type": "runs", "state": {"select": {"query": "QUERY"}}}},
    {"path": "/api/apps/", "method": "GET"},
    {"path": "/api/dashboards/", "method": "POST", "content": {"name": "QUERY", "description": "QUERY"}},
    {"path": "/api/dashboards/", "method": "GET"},
    {"path": "/api/reports/", "method": "POST", "content": {"name": "x", "code": "Run.query('QUERY')"}},
    {"path": "/api/reports/", "method": "GET"},
    {"path": "/api/runs/search/metric/align/", "method": "POST", "content": {"align_by": "QUERY", "runs": []}},
    {"path": "/api/runs/active/", "method": "GET"},
    {"path": "/api/projects/params/", "method": "GET"},
]


def test_what_is_saved_or_updated_live_evaluates_nothing(folder: Path) -> None:
    """Bookmarks, dashboards and boards keep a query as text, which a browser sends to one of the searches."""
    query = "[run.db.engine.dialect.dbapi.connect('CANARY').execute('create table t (x)')]"
    answers = ask(folder, "--guarded", questions=[{**question, "query": query} for question in SAVED])
    assert [answer["status"] for answer in answers] == [201, 200, 201, 200, 201, 200, 200, 200, 200]
    assert [answer["ran"] for answer in answers] == [False] * len(SAVED)


@pytest.fixture(scope="module")
def of_library(folder: Path) -> list[Question]:
    """Each method of the class `Repo` that takes a query, with one that makes a file."""
    methods = json.loads(aim(folder / "repository", "list_methods"))
    assert {"query_runs", "query_metrics", "query_images"} < set(methods)
    return [{"path": method, "query": RUNNING[0]} for method in methods]


def test_each_query_of_the_library_is_guarded(folder: Path, of_library: list[Question]) -> None:
    """Jobs in the pod that search by the library have the same guard."""
    bare = ask(folder, questions=of_library, action="ask_library")
    assert [answer["ran"] for answer in bare] == [True] * len(of_library)
    assert ask(folder, "--guarded", questions=of_library, action="ask_library") == [NOTHING] * len(of_library)


def test_the_tracking_server_evaluates_no_query(folder: Path, of_library: list[Question]) -> None:
    """It can be asked for the library's methods, but what they return evaluates a query only when it is iterated."""
    answers = ask(folder, "--guarded", questions=of_library, action="ask_tracking")
    assert [(answer["ran"], answer["body"]) for answer in answers] == [(False, "")] * len(of_library)

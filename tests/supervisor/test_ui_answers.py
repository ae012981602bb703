"""What Aim's UI asks for, as a browser asked it, answered by Aim as it is and by Aim as the pod runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.aim_environment import run
from tests.supervisor.aim_server import repository

REQUESTS = yaml.safe_load(Path(__file__).with_name("ui_requests.yaml").read_text(encoding="utf-8"))

Answers = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answers, Answers]:
    """Of bare Aim, and of the application of the pod, each on the same copy of one repository."""
    place, found = tmp_path_factory.mktemp("ui") / "repository", []  # its path is part of some answers
    with repository() as made:
        for options in ([], ["--patched"]):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(made, place)
            found.append(replay(place, *options))
    bare, patched = found
    return bare, patched


def replay(place: Path, *options: str) -> Answers:
    """Have a process of Aim's environment ask and answer."""
    said = run(Path(__file__).with_name("aim_pages.py"), place, *options, given=json.dumps(REQUESTS))
    return json.loads(said.splitlines()[-1])  # type: ignore[no-any-return]


@pytest.mark.parametrize("turn", ["in turn", "again", "at once"])
def test_the_ui_is_answered_byte_for_byte_as_by_aim(answers: tuple[Answers, Answers], turn: str) -> None:
    """One after the other, after everything that a user can change was changed, and many at the same time."""
    bare, patched = (each[turn] for each in answers)
    for wanted, theirs, ours in zip(REQUESTS if turn == "in turn" else reading(), bare, patched, strict=True):
        assert ours == theirs, wanted


def test_the_requests_are_answered_at_all(answers: tuple[Answers, Answers]) -> None:
    """Answers that are equal prove little where they are errors, or empty."""
    for turn in answers:
        for wanted, answer in zip(REQUESTS, turn["in turn"], strict=True):
            assert answer["status"] in {200, 201}, wanted
        assert sum(len(answer["body"]) > 100 for answer in turn["in turn"]) > len(REQUESTS) / 2


def reading() -> list[dict[str, Any]]:
    """Requests that change nothing."""
    return [each for each in REQUESTS if each["method"] == "GET"]

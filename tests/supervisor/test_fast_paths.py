"""Short ways past Aim's code that searches take: what they give is what Aim gives, or they leave it to Aim."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness.aim_environment import ENVIRONMENT, MISSING, ROOT
from tests.harness.sandbox import skip


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `aim_fast_paths.py` has seen."""
    if not (ENVIRONMENT / "bin/aim").exists():
        skip(MISSING)
    folder = tmp_path_factory.mktemp("fast")
    script = Path(__file__).with_name("aim_fast_paths.py")
    done = subprocess.run(
        [str(ENVIRONMENT / "bin/python"), str(script), str(folder)],
        env={"PYTHONPATH": str(ROOT / "constructs_lib"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def test_trees_are_encoded_byte_for_byte_as_by_aim(seen: dict[str, Any]) -> None:
    """Thousands of trees of everything that a run may have."""
    assert seen["trees"] > 1000
    assert seen["different"] == []


def test_trees_that_aim_alone_can_encode_are_left_to_aim(seen: dict[str, Any]) -> None:
    """Or Aim says what is wrong with them: its error is what a user of a search is told."""
    assert seen["odd"][0] == seen["odd"][1]
    assert any("OverflowError" in each for each in seen["odd"][0])


@pytest.mark.parametrize("series", ["numbers", "one text", "a list", "nothing"])
def test_series_are_read_as_by_aim(seen: dict[str, Any], series: str) -> None:
    """From the first value on that is no number, Aim reads."""
    by_aim, ours = seen["series"][series]
    assert ours == by_aim
    assert bool(ours) == (series != "nothing")


def test_a_series_without_a_whole_point_is_empty(seen: dict[str, Any]) -> None:
    """A trainer was killed in its first one; an error would end the answer to everybody's searches of metrics."""
    assert seen["half a point"] == [[], [[], []]]


def test_numbers_are_not_decoded_as_a_tree(seen: dict[str, Any]) -> None:
    """That takes six times as long, which is half of a search of metrics."""
    assert seen["trees decoded"] == {"numbers": 0, "one text": 1}


def test_opening_a_store_starts_no_thread(seen: dict[str, Any]) -> None:
    """RocksDB starts fifteen each time, which is most of the time that it takes."""
    bare, ours = seen["threads"]
    assert bare > 2
    assert ours == 0

"""A request may name a series as often as Aim's pages do, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.supervisor.aim_server import RUN, Server, repository, serving

TRAIN, VALIDATION = ({"name": "loss", "context": {"subset": subset}} for subset in ("train", "val"))
TEXTS = {"name": "texts", "context": {}}
OF_METRICS, OF_TEXTS = f"/api/runs/{RUN}/metric/get-batch", f"/api/runs/{RUN}/texts/get-batch"
ALIGN = "/api/runs/search/metric/align"


@pytest.fixture(scope="module")
def aim() -> Iterator[Server]:
    """The real Aim, wrapped."""
    with repository() as folder, serving(folder) as server:
        yield server


def aligned(*runs: Sequence[object]) -> dict[str, object]:
    """A request for metrics by another one, for the same run again and again."""
    return {"align_by": "loss", "runs": [{"run_id": RUN, "traces": series} for series in runs]}


def test_a_series_is_answered_as_often_as_pages_name_it(aim: Server) -> None:
    """In the order that it is named."""
    answered = aim.json(OF_METRICS, method="POST", body=[TRAIN, VALIDATION, TRAIN, VALIDATION])
    assert [each["context"]["subset"] for each in answered] == ["train", "val", "train", "val"]


def test_a_metric_is_read_a_few_times(aim: Server) -> None:
    """Others that are named behind it are answered, too."""
    answered = aim.json(OF_METRICS, method="POST", body=[*[TRAIN] * 1000, VALIDATION])
    assert [each["context"]["subset"] for each in answered] == [*["train"] * 8, "val"]


def test_texts_and_aligned_metrics_are_read_a_few_times(aim: Server) -> None:
    """No more of them is answered for a thousand than for some."""
    sliced = {**TRAIN, "slice": [0, 0, 50]}
    for path, few, many in (
        (OF_TEXTS, [TEXTS] * 8, [TEXTS] * 1000),
        (ALIGN, aligned([sliced] * 8), aligned([sliced] * 1000)),
        (ALIGN, aligned(*[[sliced]] * 8), aligned(*[[sliced]] * 1000)),
    ):
        answer, same = (aim.ask(path, method="POST", body=body) for body in (few, many))
        assert (answer.status, answer.body) == (same.status, same.body)
        assert answer.status == 200
        assert len(answer.body) > 8 * 50

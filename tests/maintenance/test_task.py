"""Which runs a chore is about, while others delete runs and end them."""

from __future__ import annotations

from pathlib import Path

import pytest

from constructs_lib.supervisor.chores.leftovers import leftovers
from constructs_lib.supervisor.chores.lost import lost_runs, stale_locks
from constructs_lib.supervisor.chores.task import Task
from tests.maintenance.conftest import Chores

RUN, DELETED = "e" * 24, "f" * 24


@pytest.mark.parametrize("chore", ["report", "close", "recompute"])
def test_a_run_that_is_not_there_is_refused(chores: Chores, chore: str) -> None:
    """A report on a hash with a wrong digit would say that no run is damaged."""
    refused = chores.do(chore, run=f"{DELETED},{RUN}")
    assert refused.code == 1
    assert refused.last_line.startswith(f"aim-supervisor: RUN: '{DELETED}' is no run of the repository"), refused.logs


def test_what_goes_between_the_listing_and_the_look_ends_no_chore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is deleted, the lock of a run that ends, and what another chore has removed: links to nowhere here."""
    repository = tmp_path / ".aim"
    monkeypatch.setattr(Task, "names", [RUN])
    for gone in (f"locks/{RUN}.softlock", f"check_ins/{DELETED}-0001-starting-0-0"):
        (repository / gone).parent.mkdir(parents=True)
        (repository / gone).symlink_to("nowhere")
    task = Task(tmp_path, apply=False, older_than=-1, runs=(RUN,))
    assert not list(lost_runs(task, None))
    assert not stale_locks(task)
    assert not leftovers(task)

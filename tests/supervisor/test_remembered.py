"""What a worker remembers has a bound, and is what it was read from."""

from __future__ import annotations

from constructs_lib.supervisor.patches.remembered import Remembered


def test_what_was_read_in_another_state_is_not_known() -> None:
    """Or a search finds a run as it was."""
    known = Remembered()
    known.put("run", 1, "value", 10)
    assert known.get("run", 1) == "value"
    assert known.get("run", 2) is None
    known.put("run", 2, "other", 10)
    assert [known.get("run", 1), known.get("run", 2)] == [None, "other"]


def test_no_more_is_kept_than_has_room() -> None:
    """However many runs there are, and however often one of them changes."""
    known = Remembered(100_000)
    for number in range(3000):
        known.put(number % 1000, number, "value", 500)
    kept = sum(known.get(number, 2000 + number) is not None for number in range(1000))
    assert 90 <= kept <= 100


def test_searches_that_go_round_find_a_part_of_what_has_no_room() -> None:
    """If the oldest always went, none would be found."""
    known = Remembered(100_000)
    found = 0
    for turn in range(5):
        for number in range(200):
            found += turn > 0 and known.get(number, 0) is not None
            known.put(number, 0, "value", 500)
    assert found > 100

"""Schedules of CronJobs."""

from __future__ import annotations

import pytest

from constructs_lib.errors import OptionError
from constructs_lib.kubernetes.schedules import check_schedule

FINE = [
    *("@daily", "@yearly", "17 2 * * *", "*/5 0-23/2 1,15 * mon-fri", "0 0 ? JAN Sun", "59 23 31 12 6", "0/15 * * * *"),
]
FAULTY = [
    ("99 99 * * *", "write a minute from 0 to 59"),
    ("60 * * * *", "write a minute from 0 to 59"),
    ("0 24 * * *", "write an hour from 0 to 23"),
    ("0 0 0 * *", "write a day of the month from 1 to 31"),
    ("0 0 * 13 *", "write a month from 1 to 12"),
    ("0 0 * * 7", "write a day of the week from 0 to 6"),
    ("0 0 * mon *", "write a month"),
    ("30-10 * * * *", "write a minute"),
    ("*/0 * * * *", "write a minute"),
    ("*-5 * * * *", "write a minute"),
    ("1,,2 * * * *", "write a minute"),
    ("0 0 * *", "write five fields"),
    ("0 0 * * * *", "write five fields"),
    ("0  0 * * *", "write five fields"),
    ("@every 1h", "write five fields"),
    ("", "write five fields"),
]


@pytest.mark.parametrize("schedule", FINE)
def test_a_schedule_of_kubernetes_is_taken(schedule: str) -> None:
    """With names, ranges, lists and steps."""
    check_schedule("schedule", schedule)


@pytest.mark.parametrize(("schedule", "remedy"), FAULTY)
def test_a_schedule_that_the_api_server_refuses_is_refused(schedule: str, remedy: str) -> None:
    """The field is named."""
    with pytest.raises(OptionError, match=remedy):
        check_schedule("schedule", schedule)

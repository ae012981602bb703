"""Reads a series a few times at most for a request, however many times the request names it.

Wrong in Aim 3.29: it reads a series each time, and answers nobody else meanwhile. A body within its bounds names one
300,000 times: the worker did not answer for a minute, had taken 640 MB more by then, and was replaced.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable
from typing import Any, Callable

_MOST_TIMES = 8
"""The UI names each series of a run twice."""


def bound_repetitions() -> None:
    """Replace what reads the series that a request names, in this process and those forked from it."""
    from aim.web.api.runs import views
    from aim.web.api.runs.object_api_utils import CustomObjectApi

    views.collect_requested_metric_traces = _on(1, _series, views.collect_requested_metric_traces)
    CustomObjectApi.set_requested_traces = _on(2, _series, CustomObjectApi.set_requested_traces)
    views.custom_aligned_metrics_streamer = _on(0, _series_of_runs, views.custom_aligned_metrics_streamer)


def _on(place: int, change: Callable[[Any], Any], read: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of Aim's whose argument at a place is changed before."""
    read = getattr(read, "__wrapped__", read)

    @functools.wraps(read)
    def changed(*arguments: Any) -> Any:
        return read(*arguments[:place], change(arguments[place]), *arguments[place + 1 :])

    return changed


def _series(named: Iterable[Any]) -> list[Any]:
    from aim.storage.context import Context

    return _a_few_times(named, lambda each: (each.name, Context(each.context).idx))


def _series_of_runs(named: Iterable[Any]) -> list[Any]:
    runs = _a_few_times(named, lambda each: each.run_id)
    for run in runs:
        run.traces = _series(run.traces)
    return runs


def _a_few_times(named: Iterable[Any], name: Callable[[Any], Any]) -> list[Any]:
    times: Counter[Any] = Counter()
    kept = []
    for each in named:
        key = name(each)
        times[key] += 1
        if times[key] <= _MOST_TIMES:
            kept.append(each)
    return kept

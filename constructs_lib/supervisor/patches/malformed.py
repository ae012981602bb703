"""Says what is wrong with a body that is not what a route reads, and repeats none of it.

Wrong in FastAPI, of which Aim 3.29 is made: the answer repeats the body, and fails where no JSON can: 500 for NaN or
half of a surrogate, with a hundred lines in the log.
"""

from __future__ import annotations

import json
from typing import Any


def answer_malformed_bodies() -> None:
    """Replace FastAPI's answer, in applications that are made afterwards."""
    from fastapi import applications

    applications.request_validation_exception_handler = _answer


async def _answer(_: Any, error: Any) -> Any:
    from fastapi import Response

    faults = [{name: fault[name] for name in ("loc", "msg", "type")} for fault in error.errors()]
    # as ASCII, as a key of the body may be among them
    return Response(json.dumps({"detail": faults}), status_code=422, media_type="application/json")

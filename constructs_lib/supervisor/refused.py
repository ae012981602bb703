"""Counts the requests that the guards in front of Aim's applications refuse, for the metrics of the supervisor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Callable

from .patches.asgi import App, Message, Receive, Scope, Send

CAUSES = {403: "origin", 408: "body", 413: "body", 421: "host", 503: "busy"}
"""What an answer of the web server's guards says by its status; Aim itself answers none of them."""

OF_TRACKING = ("origin", "route", "body", "handler", "instruction", "argument", "number", "size")
"""Kinds of refusals of the tracking server's guards."""


class RefusedRequests:
    """Counts refusals of an application by the status of its answers.

    Attributes:
        counts: by cause.
    """

    def __init__(self, app: App) -> None:
        """Wrap an ASGI application, with its guards."""
        self._app = app
        self.counts: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it answer."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in CAUSES:
                self.counts[CAUSES[message["status"]]] += 1
            await send(message)

        await self._app(scope, receive, watched)


def reporter(counts: Mapping[str, int], tell: Callable[[dict[str, int]], None]) -> Callable[[], None]:
    """Make a function that tells how much has been counted since it was called last; nothing where that is nothing.

    Once a second, and not at each refusal: whoever sends thousands of such requests does not fill a pipe.

    Args:
        counts: are added to by the guards.
        tell: is given what is new, by cause.
    """
    told: Counter[str] = Counter()

    def call() -> None:
        fresh = Counter(counts) - told
        if fresh:
            told.update(fresh)
            tell(dict(fresh))

    return call

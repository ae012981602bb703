"""Lets requests of Aim's own client through to the tracking server.

Wrong in Aim 3.29: the server answers every origin, with credentials, and takes JSON that is sent as text/plain, which
a browser sends without asking first. So a web page deletes the repository with two requests, once somebody opens it who
can reach the server. A page cannot leave out the header `Origin` of a POST or a WebSocket, or `Sec-Fetch-Site` of a
GET; Aim's client sends neither.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable

from . import check_version
from .asgi import App, Message, Receive, Scope, Send, values
from .bodies import MOST_OF_TRACKING, TOGETHER_OF_TRACKING, BoundedBodies
from .pings import bound_pongs
from .queries import restrict_queries
from .tracking import IDENTIFIER, REFUSALS, restrict_instructions
from .trash import keep_deleted_runs
from .web_sockets import EndedWebSockets, keep_no_web_sockets
from .whole_answers import WholeAnswers

_RESOURCE_ROUTES = rf"get-resource|read-instruction|write-instruction|release-resource/{IDENTIFIER}"
_CLIENT_ROUTES = rf"get-version|(?:connect|reconnect|heartbeat|disconnect)/{IDENTIFIER}"
_ROUTES = rf"status|client/(?:{_CLIENT_ROUTES})|tracking/{IDENTIFIER}/(?:{_RESOURCE_ROUTES})"
"""Pages that Aim's client asks for; there are more, such as /docs, with JavaScript of another site in it."""


def application() -> App:
    """Make the ASGI application of the tracking server; the environment has its repository and base path, as Aim's."""
    check_version()
    keep_deleted_runs()
    restrict_instructions()
    bound_pongs()
    keep_no_web_sockets()
    restrict_queries()  # a second line: no instruction that is let through evaluates a query
    from aim.ext.transport.config import AIM_SERVER_BASE_PATH
    from aim.ext.transport.server import create_app

    bounded = BoundedBodies(
        WholeAnswers(EndedWebSockets(create_app())), most=MOST_OF_TRACKING, together=TOGETHER_OF_TRACKING
    )
    return Guard(bounded, base_path=os.environ.get(AIM_SERVER_BASE_PATH, ""))


class Guard:
    """Refuses requests that Aim's own client does not send."""

    def __init__(self, aim: App, *, base_path: str = "") -> None:
        """Guard an application.

        Args:
            aim: the ASGI application behind.
            base_path: what every path of it begins with.
        """
        self._aim = aim
        self._path = re.compile(rf"{re.escape(base_path)}/(?:{_ROUTES})/?", re.ASCII)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if not refusal:
            await self._aim(scope, receive, send)
            return
        kind, status, reason = refusal
        REFUSALS.note(kind, f"{scope.get('method', 'WebSocket')} {scope['path']}: {reason}")
        for message in _answer(scope["type"], status, reason):
            await send(message)

    def _refusal(self, scope: Scope) -> tuple[str, int, str] | None:
        """Return kind, status and reason, or None for a request of Aim's client."""
        if origins := values(scope, b"origin"):
            return "origin", 403, f"a web page of {origins[0]} sent it, not Aim's client"
        if set(values(scope, b"sec-fetch-site")) - {"none"}:  # "none" is a person at the address bar
            return "origin", 403, "a web page sent it, not Aim's client"
        if not self._path.fullmatch(scope["path"]):
            return "route", 404, "Aim's client has no such request"
        if scope.get("method") == "POST" and not _is_json(values(scope, b"content-type")):
            return "body", 415, "its body is not application/json"
        return None


def _is_json(types: list[str]) -> bool:
    return [each.partition(";")[0] for each in types] == ["application/json"]


def _answer(kind: str, status: int, reason: str) -> Iterable[Message]:
    if kind == "websocket":
        yield {"type": "websocket.close"}  # before the handshake is accepted: uvicorn answers it with 403
        return
    body = json.dumps({"message": reason, "detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    yield {"type": "http.response.start", "status": status, "headers": headers}
    yield {"type": "http.response.body", "body": body}

"""Answers tell browsers what they may do with them; `test_browser.py` shows that they obey, and that the UI lives."""

from __future__ import annotations

import pytest

from constructs_lib.supervisor.patches.asgi import Receive, Scope, Send
from constructs_lib.supervisor.patches.content import SecurityHeaders
from tests.supervisor.asgi_client import Answer, ask

PAGE = b"<html><script>alert(1)</script><script src='/static-files/main.js'></script></html>"


def answered(body: bytes = b"", *, status: int = 200, parts: int = 1, **headers: str) -> Answer:
    """What becomes of an application's answer, sent in one or more parts."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        step = len(body) // parts + 1
        for start in range(0, len(body), step) or [0]:
            more = start + step < len(body)
            await send({"type": "http.response.body", "body": body[start : start + step], "more_body": more})

    return ask(SecurityHeaders(app))


def directives(policy: str) -> dict[str, set[str]]:
    """Sources by directive of a Content-Security-Policy."""
    return {name: set(sources) for name, *sources in (each.split() for each in policy.split(";"))}


def test_no_permission_of_cors_leaves_the_server() -> None:
    """Aim gives one to every origin, with credentials."""
    answer = answered(
        Access_Control_Allow_Origin="https://evil.example", access_control_allow_credentials="true", vary="Origin"
    )
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("kind", ["text/html", "application/json", "application/octet-stream"])
def test_bodies_stay_as_they_are(kind: str, parts: int) -> None:
    """However many parts they come in."""
    answer = answered(PAGE, parts=parts, content_type=kind, content_length=str(len(PAGE)))
    assert (answer.status, answer.body) == (200, PAGE)
    assert answer.headers["content-length"] == str(len(PAGE))


@pytest.mark.parametrize("parts", [1, 4])
def test_of_scripts_that_stand_in_a_page_only_those_of_the_server_run(parts: int) -> None:
    """Each is allowed by its hash; `unsafe-inline` would allow those of a run's text as well."""
    policy = directives(
        answered(PAGE, parts=parts, content_type="text/html; charset=utf-8").headers["content-security-policy"]
    )
    # printf 'alert(1)' | openssl dgst -sha256 -binary | base64
    assert "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='" in policy["script-src"]
    assert sum(source.startswith("'sha256-") for source in policy["script-src"]) == 1
    assert "'unsafe-inline'" not in policy["script-src"]


def test_a_page_can_reach_no_host_of_anybody() -> None:
    """No whole scheme and no wildcard is a source, and of a CDN that serves anybody's uploads, one folder is."""
    policy = directives(answered(PAGE, content_type="text/html").headers["content-security-policy"])
    sources = set().union(*policy.values())
    assert not sources & {"*", "http:", "https:", "ws:", "wss:"}
    assert {urls for urls in sources if "jsdelivr" in urls} == {"https://cdn.jsdelivr.net/pyodide/v0.23.4/full/"}
    assert policy["default-src"] == {"'none'"}
    # these are not among those that default-src stands for
    assert {"form-action", "base-uri", "frame-ancestors"} <= policy.keys()


def test_an_answer_is_never_taken_for_what_its_text_looks_like() -> None:
    """Aim's streams have no content type: logs of a run that begin like a page would be shown as one."""
    answer = answered(PAGE)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answered(b"", status=204).headers.get("content-type") is None
    assert answered(b"{}", content_type="application/json").headers["content-type"] == "application/json"


def test_other_pages_cannot_use_an_answer() -> None:
    """As image or script, in a frame, or by the window that they opened; nor are told the address of a page."""
    answer = answered(PAGE, content_type="text/html")
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["referrer-policy"] == "same-origin"

"""Pages of another origin get nothing; Aim's own pages, links to them, and clients without a browser get all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from constructs_lib.supervisor.patches.asgi import Receive, Scope, Send
from constructs_lib.supervisor.patches.requests import SameOrigin
from tests.supervisor.aim_server import RUN, Server, repository, serving
from tests.supervisor.asgi_client import ask

SEARCH = "/api/runs/search/run"
HOST = "aim.example.com"


async def echo(scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that answers everything."""
    if scope["type"] == "websocket":
        await send({"type": "http.response.start", "status": 101, "headers": []})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"served"})


def status(
    path: str = SEARCH,
    headers: dict[str, str] | None = None,
    *,
    method: str = "GET",
    kind: str = "http",
    allowed: tuple[str, ...] = (),
    base: str = "",
) -> int:
    """Status of one request."""
    app = SameOrigin(echo, allowed_hosts=allowed, base_path=base)
    return ask(app, path, method=method, kind=kind, headers={"host": HOST, **(headers or {})}).status


def browser(site: str, *, mode: str = "navigate", destination: str = "document") -> dict[str, str]:
    """Headers of a browser's request, of one that opens a page in a tab unless said otherwise."""
    return {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": destination}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin\ncross-site", "nonsense", ""])
def test_what_a_browser_marks_as_another_site_is_refused(method: str, site: str) -> None:
    """Another port and a sibling domain (same-site) are others too; a value that no browser knows is refused."""
    assert status(headers=browser(site, mode="cors", destination="empty"), method=method) == 403


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_requests_of_aims_own_pages_and_of_the_address_bar_are_served(method: str, site: str) -> None:
    """Sec-Fetch-Site decides where it is there: the proxy in front may have changed Host."""
    headers = {**browser(site), "host": "aim.ml.svc:43800", "origin": "https://aim.example.com"}
    assert status(headers=headers, method=method) == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_clients_without_a_browser_are_served(method: str) -> None:
    """The SDK and curl send neither header."""
    assert status(method=method) == 200
    assert status(headers={"host": "10.1.2.3:43800"}, method=method) == 200


@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        ("http://aim.example.com", {"host": "aim.example.com"}),
        ("http://aim.example.com", {"host": "aim.example.com:80"}),
        ("http://aim.example.com:80", {"host": "aim.example.com"}),
        ("https://aim.example.com", {"host": "aim.example.com"}),
        ("https://aim.example.com", {"host": "aim.example.com:443"}),
        ("https://aim.example.com:8443", {"host": "aim.example.com:8443"}),
        ("HTTPS://Aim.Example.COM", {"host": "AIM.example.com"}),
        ("http://localhost:43800", {"host": "localhost:43800"}),
        ("http://[::1]:43800", {"host": "[::1]:43800"}),
        ("http://[FD00::A]", {"host": "[fd00::a]:80"}),
        ("https://aim.example.com", {"host": "aim:43800", "x-forwarded-host": "aim.example.com"}),
        ("https://aim.example.com", {"host": "aim:43800", "x-forwarded-host": "aim.example.com:443"}),
        ("https://aim.example.com", {"host": "aim:43800", "x-forwarded-host": "aim.example.com, inner.proxy"}),
        ("https://aim.example.com", {"host": "aim:43800", "x-forwarded-host": "inner.proxy\naim.example.com"}),
    ],
)
def test_an_origin_that_names_the_host_is_served(origin: str, headers: dict[str, str]) -> None:
    """Whatever the port that goes without saying, the case, and the proxies in front."""
    assert status(headers={"origin": origin, **headers}, method="POST") == 200
    assert status(headers={"origin": origin, **headers}, kind="websocket") == 101


@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        ("null", {}),
        ("", {}),
        ("https://evil.example", {}),
        ("https://aim.example.com.evil.example", {}),
        ("https://evil-aim.example.com", {}),
        ("https://example.com", {}),
        ("https://aim.example.com:8443", {}),
        ("http://aim.example.com:43801", {"host": "aim.example.com:43800"}),
        ("http://aim.example.com", {"host": "aim.example.com:43800"}),
        ("https://aim.example.com", {"host": "aim.example.com:80"}),
        ("http://127.0.0.1:43800", {"host": "localhost:43800"}),
        ("http://[::1]:43801", {"host": "[::1]:43800"}),
        ("https://aim.example.com/", {}),
        ("https://user@aim.example.com", {}),
        ("https://aim.example.com:port", {}),
        ("https://aim.example.com https://evil.example", {}),
        ("https://aim.example.com\nhttps://evil.example", {}),
        ("chrome-extension://aim.example.com", {}),
        ("ftp://aim.example.com", {}),
        ("file://", {}),
        ("aim.example.com", {}),
        ("https://evil.example", {"x-forwarded-host": "aim.example.com, other.example"}),
        ("https://evil.example", {"x-forwarded-for": "evil.example", "forwarded": "host=evil.example"}),
        ("https://aim.example.com", {"host": ""}),
    ],
)
def test_another_origin_is_refused(origin: str, headers: dict[str, str]) -> None:
    """Every request that carries one is, whatever it asks for."""
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        assert status(headers={"origin": origin, **headers}, method=method) == 403
    assert status("/", {"origin": origin, **headers}) == 403
    assert status(headers={"origin": origin, **headers}, kind="websocket") == 403


@pytest.mark.parametrize("path", ["/", "/runs", "/runs/0a1b/params", "/reports/apis", "/static-files/favicon.ico"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_to_a_page_works_from_everywhere(path: str, site: str) -> None:
    """A chat, a wiki or the login's provider may lead to the UI."""
    assert status(path, browser(site)) == 200
    assert status(f"/ml/aim{path}", browser(site), base="/ml/aim") == 200
    assert status(f"/api{path}", browser(site), base="/api/") == 200


@pytest.mark.parametrize(
    ("path", "base"),
    [
        (SEARCH, ""),
        ("/api", ""),
        ("/api/", ""),
        (f"/ml{SEARCH}", "/ml"),
        (f"/api{SEARCH}", "/api"),
        (f"/root{SEARCH}", ""),
    ],
)
def test_a_link_to_the_api_is_refused(path: str, base: str) -> None:
    """By `window.open` or a link it would run a search, with the query of another page."""
    assert status(path, browser("cross-site"), base=base) == 403


@pytest.mark.parametrize("destination", ["iframe", "frame", "embed", "object", "image", "script", "empty", ""])
def test_another_page_cannot_embed_a_page(destination: str) -> None:
    """In a frame, Aim could be made to be clicked on."""
    assert status("/runs", browser("cross-site", destination=destination)) == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_another_page_cannot_send_a_form(method: str) -> None:
    """A form that opens in a tab is a navigation, too."""
    assert status("/runs", browser("cross-site"), method=method) == 403


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("aim.example.com", 200),
        ("AIM.example.com:8443", 200),
        ("aim.example.com.", 200),
        ("team.aim.test", 200),
        ("aim.test", 421),
        ("a.team.aim.test", 421),
        ("evil.example", 421),
        ("evil.example:43800", 421),
        ("aim.example.com.evil.example", 421),
        ("evil.aim.example.com", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("aim.example.com\nevil.example", 421),
        ("aim.example.com, evil.example", 421),
        ("evil.example:43800@aim.example.com", 421),
        ("", 421),
        # nobody's DNS answers for these, so that no page can have them as its own
        ("localhost:43800", 200),
        ("127.0.0.1:43800", 200),
        ("10.1.2.3", 200),
        ("[fd00::a]:43800", 200),
    ],
)
def test_only_allowed_hosts_are_answered(host: str, expected: int) -> None:
    """A page whose own name was led to the server (DNS rebinding) is of its origin, but asks for a wrong host."""
    allowed = ("Aim.example.com", "*.aim.test")
    assert status(headers={"host": host}, allowed=allowed) == expected
    assert status("/", {"host": host, **browser("cross-site")}, allowed=allowed) == expected
    assert status(headers={"host": host, **browser("same-origin")}, allowed=allowed) == expected


def test_a_rebound_page_cannot_pretend_to_be_forwarded() -> None:
    """It can send any header but Host and Origin."""
    headers = {"host": "evil.example", "x-forwarded-host": HOST, "origin": "http://evil.example"}
    assert status(headers=headers, allowed=(HOST,)) == 421


def test_a_request_without_a_host_is_served_unless_hosts_are_named() -> None:
    """HTTP/1.0 has none."""
    assert ask(SameOrigin(echo), SEARCH).status == 200
    assert ask(SameOrigin(echo, allowed_hosts=[HOST]), SEARCH).status == 421


@pytest.mark.parametrize(
    ("headers", "remedy"),
    [
        ({"host": HOST, "origin": "https://evil.example"}, "open Aim in a tab of its own"),
        ({"host": "evil.example"}, "allowed hosts"),
    ],
)
def test_a_refusal_is_one_line_of_text_that_says_what_to_do(headers: dict[str, str], remedy: str) -> None:
    """Who opens a link, or sets up a proxy, reads it."""
    answer = ask(SameOrigin(echo, allowed_hosts=[HOST]), SEARCH, headers=headers)
    assert answer.headers["content-type"].startswith("text/plain")
    assert remedy in answer.body.decode()
    assert answer.body.count(b"\n") == 1


def test_the_start_and_end_of_the_application_are_passed_on() -> None:
    """Uvicorn tells them in a scope of their own, which has no headers."""
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        seen.append(scope["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    ask(SameOrigin(app, allowed_hosts=[HOST]), kind="lifespan")
    assert seen == ["lifespan"]


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    """A repository with runs."""
    with repository() as folder:
        yield folder


@pytest.fixture(scope="module")
def aim(store: Path) -> Iterator[Server]:
    """The real Aim, wrapped, below a path."""
    with serving(store, base_path="/ml/aim") as server:
        yield server


EVIL = {"origin": "https://evil.example"}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("GET", "/api/projects/", None, EVIL),
        ("GET", "/api/runs/search/run/?q=", None, browser("cross-site", mode="no-cors", destination="image")),
        ("GET", "/api/runs/search/run/?q=", None, browser("cross-site")),
        ("GET", "/%61pi/runs/search/run/?q=", None, browser("cross-site")),
        ("POST", f"/api/runs/{RUN}/tags/new/", {"tag_name": "evil"}, {**EVIL, "content-type": "text/plain"}),
        ("POST", f"/api/runs/{RUN}/tags/new/", {"tag_name": "evil"}, {"origin": "null"}),
        ("PUT", f"/api/runs/{RUN}/", {"name": "evil"}, browser("same-site", mode="cors", destination="empty")),
        ("DELETE", f"/api/runs/{RUN}/", None, EVIL),
        ("OPTIONS", f"/api/runs/{RUN}/", None, {**EVIL, "access-control-request-method": "DELETE"}),
    ],
)
def test_the_real_aim_does_nothing_for_another_origin(
    aim: Server, method: str, path: str, body: object, headers: dict[str, str]
) -> None:
    """Nor is anything of an answer shared with it; the run stays as it is."""
    before = aim.ask(f"/api/runs/{RUN}/info/").body
    answer = aim.ask(path, method=method, body=body, headers=headers)
    assert answer.status == 403
    assert answer.body.startswith(b"refused: ")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert aim.ask(f"/api/runs/{RUN}/info/").body == before


def test_the_real_aim_serves_its_own_page_behind_a_proxy(aim: Server) -> None:
    """A tag is made from it, and seen by a client that sends no such header."""
    own = {"origin": "https://aim.example.com", "x-forwarded-host": "aim.example.com", "x-forwarded-proto": "https"}
    path = f"/api/runs/{RUN}/tags/new/"
    assert aim.ask(path, method="POST", body={"tag_name": "mine"}, headers=own).status == 200
    assert b"mine" in aim.ask("/api/tags/").body
    without = {"origin": "https://aim.example.com"}
    assert aim.ask(path, method="POST", body={"tag_name": "other"}, headers=without).status == 403
    assert b"other" not in aim.ask("/api/tags/").body


def test_the_real_aim_opens_by_a_link(aim: Server) -> None:
    """With the policy of a page, and no permission of CORS."""
    answer = aim.ask("/runs", headers=browser("cross-site"))
    assert answer.status == 200
    assert b"/ml/aim/static-files/" in answer.body
    assert "'sha256-" in answer.headers["content-security-policy"]
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_real_aim_does_not_fail_by_a_file_that_is_gone(aim: Server) -> None:
    """The files of the page are there; of others, nothing but the request is in the log."""
    page = aim.ask("/runs").body.decode()
    files = re.findall(r"/ml/aim(/static-files/[^\"' ]+)", page)
    assert {aim.ask(file).status for file in files} == {200}
    assert {aim.ask(f"/static-files/{name}").status for name in ("main.1f2e.js", "%00", "a" * 300)} == {404}
    assert "Traceback" not in aim.log.read_text(encoding="utf-8")


def test_the_real_aim_lets_every_origin_in_if_it_is_not_wrapped(store: Path) -> None:
    """What is refused above would be done: the refusals are the wrapper's."""
    with serving(store, "--bare") as bare:
        answer = bare.ask("/api/projects/", headers=EVIL)
        assert answer.headers["access-control-allow-origin"] == "https://evil.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
        preflight = {**EVIL, "access-control-request-method": "DELETE"}
        assert bare.ask(f"/api/runs/{RUN}/", method="OPTIONS", headers=preflight).status == 200
        tag = {"tag_name": "of evil.example"}
        assert bare.ask(f"/api/runs/{RUN}/tags/new/", method="POST", body=tag, headers=EVIL).status == 200

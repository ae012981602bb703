"""Who is not logged in gets nothing of Aim, by any route that Aim has, and by no trick that is known here."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.access.conftest import BASE_PATH, PASSWORDS, PROVIDER, TOKEN, TRACKING_PATH, Site
from tests.harness.aim_environment import PYTHON
from tests.harness.login_pod import Answer, basic

pytestmark = pytest.mark.pod

Trick = tuple[str, str, dict[str, str]]
"""Method, path and headers."""

RUN = "0" * 24
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"]
WEBSOCKET = {
    "connection": "Upgrade, close",
    "upgrade": "websocket",
    "sec_websocket_version": "13",
    "sec_websocket_key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}

PATHS: list[Callable[[str], str]] = [
    lambda path: f"/{path}",
    lambda path: f"{path}/",
    lambda path: f"/.{path}",
    lambda path: f"/x/..{path}",
    lambda path: f"/ping/..{path}",
    lambda path: f"/ready/..{path}",
    lambda path: f"/robots.txt/..{path}",
    lambda path: f"{BASE_PATH}/oauth2/sign_in/../../..{path}",
    lambda path: f"{BASE_PATH}/oauth2/static/../../..{path}",
    lambda path: f"{BASE_PATH}/oauth2/static/%2e%2e/%2e%2e/%2e%2e{path}",
    lambda path: f"{BASE_PATH}/oauth2/auth/..;/..;/..{path}",
    lambda path: f"/ping%2f..{path}",
    lambda path: f"/ping;{path}",
    lambda path: f"/ping\\..{path}",
    lambda path: f"/%{ord(path[1]):02x}{path[2:]}",
    lambda path: path.replace("/", "%2f"),
    lambda path: f"{path}%00",
    lambda path: f"{path}%0d%0aAuthorization:%20Basic%20x",
    lambda path: f"{path}?/ping",
    lambda path: f"{path}#/ping",
    lambda path: f"http://127.0.0.1:43800{path}",
    lambda path: f"http://127.0.0.1:53800{path}",
    str.upper,
]

HEADERS: list[dict[str, str]] = [
    {},
    {"host": "127.0.0.1:43800"},
    {"host": "localhost"},
    {"host": ""},
    {"x_forwarded_uri": "/ping"},
    {
        "x_forwarded_uri": f"{BASE_PATH}/oauth2/sign_in",
        "x_forwarded_host": "aim.example.com",
        "x_forwarded_proto": "https",
    },
    {"x_original_uri": "/ping", "x_original_url": "/ping", "x_rewrite_url": "/ping"},
    {"x_forwarded_for": "127.0.0.1", "x_real_ip": "127.0.0.1", "forwarded": "for=127.0.0.1"},
    {"x_forwarded_user": "ann", "x_forwarded_email": "ann@example.com", "x_forwarded_groups": "ml"},
    {"x_auth_request_user": "ann", "x_auth_request_email": "ann@example.com", "gap_auth": "ann"},
    {"x_forwarded_access_token": "x", "x_forwarded_preferred_username": "ann"},
    {"x_http_method_override": "GET", "x_method_override": "OPTIONS"},
    {"authorization": "Basic"},
    {"authorization": basic("", "")},
    {"authorization": basic("ci", "")},
    {"authorization": basic("ci", "none")},
    {"authorization": basic("ci", TOKEN + " ")},
    {"authorization": basic("CI", TOKEN)},
    {"authorization": f"Bearer {TOKEN}"},
    {"proxy_authorization": basic("ci", TOKEN)},
    {"cookie": "_aim_aim=x"},
    {"cookie": "_aim_aim=|||; _oauth2_proxy=x; _aim_aim_csrf=x"},
    {"user_agent": "kube-probe/1.37"},
    {"user_agent": "GoogleHC/1.0"},
    {"accept": "application/json"},
    {"origin": "http://aim.example.com", "access_control_request_method": "GET"},
    WEBSOCKET,
]

_GET = "GET {path} HTTP/1.1\r\nhost: a\r\n"
_CLOSE = "connection: close\r\n\r\n"
RAW = [
    # a request behind one that needs no login, on the same connection
    f"GET /ping HTTP/1.1\r\nhost: a\r\n\r\n{_GET}{_CLOSE}",
    # two lengths
    f"POST /ping HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n{_CLOSE}0\r\n\r\n{_GET}\r\n",
    f"POST /ping HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 60\r\n{_CLOSE}{_GET}\r\n",
    "GET {path} HTTP/1.0\r\n\r\n",
    "GET {path}\r\n\r\n",
    f"{_GET}{_CLOSE}".replace(" ", "\t"),
    f"CONNECT 127.0.0.1:43800 HTTP/1.1\r\nhost: 127.0.0.1:43800\r\n{_CLOSE}{_GET}\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, list[str]]]:
    """Every route of Aim's web application and of its tracking server, with something for each parameter."""
    script = Path(__file__).parents[1] / "harness/aim_routes.py"
    command = [str(PYTHON), "-W", "ignore", str(script), BASE_PATH, TRACKING_PATH]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = [(re.sub(r"\{[^}]+\}", RUN, path), methods) for path, methods in json.loads(done.stdout)]
    # Aim's description of itself leaves out the page with the UI, and the WebSocket
    own = [(f"{BASE_PATH}/", ["GET"]), (f"{BASE_PATH}/runs", ["GET"])]
    return [*found, *own, (f"{TRACKING_PATH}/tracking/{RUN}/write-instruction/", ["GET"])]


def tricks(routes: list[tuple[str, list[str]]]) -> Iterator[Trick]:
    """Each route by its methods and all others; in other spellings; and with each of the headers."""
    for path, own in routes:
        yield from ((method, path, {}) for method in {*METHODS, *own})
        yield from ((own[0], change(path), {}) for change in PATHS)
        yield from ((own[0], path, headers) for headers in HEADERS)


def is_aims(answer: Answer) -> bool:
    """Whether Aim has answered: its server names itself, and so do the runs; paths may be repeated by the login."""
    return "uvicorn" in answer.headers.lower() or "showcase" in answer.body or "hparams" in answer.body


@pytest.mark.usefixtures("provider_login", "password_login")
@pytest.mark.parametrize("port", [PROVIDER, PASSWORDS], ids=["provider", "passwords"])
def test_nothing_is_answered_without_a_login(site: Site, routes: list[tuple[str, list[str]]], port: int) -> None:
    """Not one request of thousands reaches Aim: each is refused, or led to a page to log in."""
    assert len(routes) > 80
    answers = {
        (method, path, *sorted(headers.items())): site.ask.get(port, path, method=method, **headers)
        for method, path, headers in tricks(routes)
    }
    assert [request for request, answer in answers.items() if is_aims(answer)] == []
    fine = {301, 302, 307, 308, 400, 401, 403, 404, 405, 501}
    # what needs no login is a page of the login's own
    pages = [r"(ok|Unauthorized|{}|)\s*", r"User-agent: \*\s+Disallow: /\s*", rf"(?s:.*{BASE_PATH}/oauth2/.*)"]
    own = re.compile("|".join(pages), re.IGNORECASE)
    open_to_all = {request for request, answer in answers.items() if answer.status not in fine}
    assert [(each, answers[each]) for each in open_to_all if not own.fullmatch(answers[each].body)] == []


@pytest.mark.usefixtures("provider_login")
def test_the_same_requests_reach_aim_with_a_login(site: Site, routes: list[tuple[str, list[str]]]) -> None:
    """So that the test above can fail: every route answers to who is logged in."""
    token = basic("ci", TOKEN)
    reading = [path for path, methods in routes if "GET" in methods and "write-instruction" not in path]
    silent = [path for path in reading if not is_aims(site.ask.get(PROVIDER, path, authorization=token))]
    assert silent == []


@pytest.mark.usefixtures("provider_login", "password_login")
@pytest.mark.parametrize("request_", RAW)
def test_no_request_hides_in_another_one(site: Site, request_: str) -> None:
    """However its end is written."""
    for port in (PROVIDER, PASSWORDS):
        answer = site.ask.raw(port, request_.replace("{path}", f"{BASE_PATH}/api/runs/{RUN}/info/"))
        assert not is_aims(answer)


@pytest.mark.usefixtures("provider_login")
def test_nobody_is_sent_elsewhere_after_a_login(site: Site) -> None:
    """A link to the login that would lead to another site afterwards leads to Aim."""
    for target in ("https://evil.example/", "//evil.example/", "/\\evil.example", "/\t/evil.example", "javascript:1"):
        query = urllib.parse.quote(target, safe="")
        form = f"username=ci&password={TOKEN}&rd={query}"
        kind = "application/x-www-form-urlencoded"
        answer = site.ask.get(PROVIDER, f"{BASE_PATH}/oauth2/sign_in", method="POST", body=form, content_type=kind)
        assert re.search(r"(?i)\nlocation: ([^\r]*)", answer.headers)[1] == "/"  # type: ignore[index]

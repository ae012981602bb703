"""In a real browser, other pages get nothing from Aim, and the whole UI works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.supervisor import ui
from tests.supervisor.aim_server import RUN, Server, repository, serving
from tests.supervisor.chromium import site, visit

SEARCH = "/api/runs/search/run/?q=run.hparams.rate"
ATTACKS = {
    "an image": f"new Image().src = AIM + '{SEARCH}'",
    "a script": f"document.head.append(Object.assign(document.createElement('script'), {{src: AIM + '{SEARCH}'}}))",
    "a style sheet": "document.head.append(Object.assign(document.createElement('link'), "
    "{rel: 'stylesheet', href: AIM + '/static-files/static/css/main.css'}))",
    "fetch": "fetch(AIM + '/api/projects/', {credentials: 'include'}).then(a => a.text()).then(t => READ.push(t))",
    "fetch that cannot read": f"fetch(AIM + '{SEARCH}', {{mode: 'no-cors', credentials: 'include'}})",
    "a POST as text": f"fetch(AIM + '/api/runs/{RUN}/tags/new/', "
    "{method: 'POST', mode: 'no-cors', body: '{\"tag_name\": \"by text\"}'})",
    "a POST as JSON": f"fetch(AIM + '/api/runs/{RUN}/tags/new/', {{method: 'POST', "
    "headers: {'content-type': 'application/json'}, body: '{\"tag_name\": \"by json\"}'})",
    "a DELETE": f"fetch(AIM + '/api/runs/{RUN}/', {{method: 'DELETE'}})",
    "a beacon": f"navigator.sendBeacon(AIM + '/api/runs/{RUN}/tags/new/', '{{\"tag_name\": \"by beacon\"}}')",
    "a form": f"FORM.action = AIM + '/api/runs/{RUN}/tags/new/'; FORM.submit()",
    "a frame": "document.body.append(Object.assign(document.createElement('iframe'), {src: AIM + '/runs'}))",
    "a window of the API": f"window.open(AIM + '{SEARCH}')",
    "a WebSocket": "new WebSocket(AIM.replace('http', 'ws') + '/api/')",
}
PAGE = """<form id=FORM method=post enctype=text/plain target=_blank>
<input name='{"tag_name": "by form", "x":"' value='"}'></form>
<a id=link href="">Aim</a><script>READ = []</script>"""


@pytest.fixture(scope="module")
def evil_site() -> Iterator[int]:
    """Port of a site that has no business with Aim."""
    with site(PAGE) as port:
        yield port


@pytest.fixture(scope="module")
def aim() -> Iterator[Server]:
    """The real Aim, wrapped."""
    with repository() as folder, serving(folder, "--allow-host=aim.example.com") as server:
        yield server


def wait_for(condition: Callable[[], object], page: Page) -> None:
    """Wait until something holds, for half a minute, while the browser goes on."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        page.wait_for_timeout(100)


def attacked(page: Page, server: Server, attack: str) -> list[int]:
    """Statuses that an attack has got from the server, once there is one."""
    before = len(server.seen)
    page.evaluate(f"() => {{ AIM = '{server.url()}'; {ATTACKS[attack]} }}")
    wait_for(lambda: len(server.seen) > before, page)
    # a window that shows a refusal asks for an icon of its own
    return [status for request, status in server.seen[before:] if "favicon" not in request]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_gets_in_by_no_way(
    browser: Browser, evil_site: int, aim: Server, host: str, attack: str
) -> None:
    """From another site (another host name), and from the same one (another port)."""
    before = aim.ask(f"/api/runs/{RUN}/info/").body
    with visit(browser, web=False) as visited:
        page = visited.tab()
        page.goto(f"http://{host}:{evil_site}/")
        assert set(attacked(page, aim, attack)) == {403}
        assert page.evaluate("READ") == []
    assert aim.ask(f"/api/runs/{RUN}/info/").body == before


def test_a_page_of_another_origin_gets_in_if_aim_is_not_wrapped(browser: Browser, evil_site: int) -> None:
    """The attacks are real: Aim refuses none, tells a page its runs, and lets it tag and delete them."""
    with repository() as folder, serving(folder, "--bare") as bare, visit(browser, web=False) as visited:
        page = visited.tab()
        page.goto(f"http://127.0.0.1:{evil_site}/")
        # the UI in a frame sends requests of its own; Aim has no WebSocket here
        attacks = [attack for attack in ATTACKS if attack not in {"a DELETE", "a frame", "a WebSocket"}]
        assert [attack for attack in attacks if 403 in attacked(page, bare, attack)] == []
        wait_for(lambda: page.evaluate("READ"), page)
        assert "My awesome project" in page.evaluate("READ")[0]
        wait_for(lambda: b"by json" in bare.ask("/api/tags/").body, page)
        attacked(page, bare, "a DELETE")
        wait_for(lambda: bare.ask(f"/api/runs/{RUN}/info/").status == 404, page)
        assert 403 not in attacked(page, bare, "a frame")


def test_a_link_from_another_site_opens_the_ui(browser: Browser, evil_site: int, aim: Server) -> None:
    """It shows a run, and the page with the link has no hold of it."""
    with visit(browser, web=False) as visited:
        page = visited.tab()
        page.goto(f"http://127.0.0.1:{evil_site}/")
        page.evaluate("url => { link.href = url; link.target = '_blank'; link.rel = 'opener' }", f"{aim.url()}/runs")
        with page.expect_popup() as opened:
            page.click("#link")
        opened.value.get_by_text("run 2").first.wait_for()
        assert opened.value.evaluate("window.opener") is None


def test_a_page_whose_name_leads_here_gets_nothing(browser: Browser, aim: Server) -> None:
    """DNS rebinding: to the browser, page and server are one origin."""
    url = f"http://rebound.example:{aim.port}/"
    with visit(browser, web=False) as visited:
        page = visited.tab()
        answer = page.goto(url)
        assert answer
        assert answer.status == 421
        assert page.evaluate("fetch('/api/projects/').then(answer => answer.status)") == 421


def test_the_whole_ui_works(browser: Browser, aim: Server) -> None:
    """Every page shows what it has, and the browser withholds nothing from it."""
    aim.json("/api/reports/", method="POST", body={"name": "report", "code": "# hello"})
    with visit(browser) as visited:
        for _ in ui.walk(visited.tab(), aim):
            pass
    assert not [error for error in visited.errors if "Content Security Policy" in error or "403" in error]

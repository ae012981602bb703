"""In a real browser, nothing that a run or a report says is run, and no other host hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.supervisor import ui
from tests.supervisor.aim_server import RUN, Server, repository, serving
from tests.supervisor.chromium import Visit, visit

HOSTILE = Path(__file__).with_name("hostile.html").read_text(encoding="utf-8")
"""All that HTML can do to run a script or to reach another host; a script that has run says so in `ran`."""

REPORT = f"""
```aim
HTML('''{HOSTILE}''')
Text("drawn by a report")
import js
js.fetch("https://evil.example/fetch")
js.navigator.sendBeacon("https://evil.example/beacon", "")
js.document.createElement("img").src = "https://evil.example/image"
script = js.document.createElement("script")
script.textContent = "(top.ran ||= []).push('script')"
js.document.head.append(script)
```

![an image](https://evil.example/markdown)
"""


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    """A repository of runs that say `hostile.html` wherever they can say something."""
    with repository(HOSTILE) as folder:
        yield folder


@pytest.fixture(scope="module")
def aim(store: Path) -> Iterator[Server]:
    """The real Aim, wrapped."""
    with serving(store) as server:
        yield server


@pytest.fixture(scope="module")
def bare(store: Path) -> Iterator[Server]:
    """The real Aim as it is."""
    with serving(store, "--bare") as server:
        yield server


def evil(visited: Visit) -> set[str]:
    """What the attacker's host has been asked for."""
    return {url.removeprefix("https://evil.example/") for url in visited.outside if "evil" in url}


def ran(page: Page) -> set[str]:
    """The scripts that have run."""
    return set(page.evaluate("window.ran") or ())


def tags_sent(server: Server) -> list[str]:
    """Requests that would have tagged a run."""
    return [request for request, _ in server.seen if request.endswith("/tags/new/")]


def shown_as_html(visited: Visit, server: Server) -> Page:
    """Texts in the text explorer, which can show them as HTML; with everything in them clicked on."""
    page = visited.tab()
    ui.enter(page, server)
    ui.search(page, server, "text")
    ui.as_html(page)
    page.get_by_text("evil background").first.wait_for()
    for kind in ("ping", "form", "own-form", "link"):
        page.locator(f".evil-{kind}").first.evaluate("element => element.click()")
    visited.settle(page)
    return page


def test_a_text_shown_as_html_runs_nothing_and_reaches_nobody(browser: Browser, aim: Server) -> None:
    """A training job chooses the text, and a link to the explorer chooses how it is shown."""
    with visit(browser) as visited:
        assert ran(shown_as_html(visited, aim)) == set()
        assert evil(visited) == set()
    assert tags_sent(aim) == []


def test_a_text_shown_as_html_does_all_that_if_aim_is_not_wrapped(browser: Browser, bare: Server) -> None:
    """Its scripts run, other hosts are told, and its form reaches the API."""
    with visit(browser) as visited:
        assert ran(shown_as_html(visited, bare)) >= {"handler", "document", "frame", "link"}
        assert evil(visited) >= {"image", "style", "import", "background", "frame", "object", "ping", "form"}
    assert tags_sent(bare)


def axes_of_hyperparameters(visited: Visit, server: Server) -> Page:
    """The params explorer, which draws values of hyperparameters as HTML."""
    page = visited.tab()
    ui.enter(page, server)
    ui.search(page, server, "params")
    visited.settle(page)
    return page


def test_a_hyperparameter_runs_nothing_and_reaches_nobody(browser: Browser, aim: Server) -> None:
    """Nobody has to choose HTML there."""
    with visit(browser) as visited:
        assert ran(axes_of_hyperparameters(visited, aim)) == set()
        assert evil(visited) == set()


def test_a_hyperparameter_does_if_aim_is_not_wrapped(browser: Browser, bare: Server) -> None:
    """A page that everybody opens runs it."""
    with visit(browser) as visited:
        assert ran(axes_of_hyperparameters(visited, bare)) >= {"hyperparameter"}
        assert evil(visited)


def test_names_tags_descriptions_and_messages_stay_text(browser: Browser, aim: Server) -> None:
    """On the pages that list them."""
    said = {"name": HOSTILE, "description": HOSTILE, "code": "# hello"}
    aim.json("/api/reports/", method="POST", body=said)
    with visit(browser) as visited:
        page = visited.tab()
        ui.enter(page, aim)
        for path in ("/runs", "/tags", "/reports", f"/runs/{RUN}/overview", f"/runs/{RUN}/messages"):
            ui.go(page, aim, path)
            expect(page.locator("body")).to_contain_text("evil.example", timeout=60_000)
        assert ran(page) == set()
        assert evil(visited) == set()


def test_a_report_draws_and_reaches_nobody(browser: Browser, aim: Server) -> None:
    """Its code runs, as Aim means it to (PR #3333); what it draws runs nothing, and none of its requests leaves."""
    report = aim.json("/api/reports/", method="POST", body={"name": "report", "code": REPORT})
    with visit(browser, reports=True) as visited:
        page = visited.tab()
        page.goto(f"{aim.url()}/reports/{report['id']}")
        page.get_by_text("drawn by a report").wait_for(timeout=120_000)
        visited.settle(page)
        assert ran(page) == set()
        assert evil(visited) == set()

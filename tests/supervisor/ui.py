"""Walks through Aim's UI as a user does."""

from __future__ import annotations

from collections.abc import Iterator

from playwright.sync_api import Page, expect

from tests.supervisor.aim_server import RUN, Server

_PATIENCE = 60_000

EXPLORERS = {
    "metrics": "Metrics",
    "params": "Run Params",
    "text": "Texts",
    "images": "Images",
    "figures": "Figures",
    "audios": "Audios",
}
"""Button that opens the choice of what to search for, by page."""

_FOUND = {
    "metrics": 'metric.name="loss"',
    "params": "run 2",
    "text": 'texts.name="texts"',
    "images": "Steps count",
    "figures": 'figures.name="figures"',
    "audios": "00:00",
}
_PAGES = {
    "/": "Started a run",
    "/runs": "run 2",
    "/scatters": "SCATTERS EXPLORER",
    "/bookmarks": "BOOKMARKS",
    "/tags": "1 Tag",
    "/metrics_v2": "METRICS EXPLORER V2",
    "/reports": "REPORTS",
    "/reports/new": "NEW REPORT",
}
_RUN_TABS = {
    "overview": "hparams.rate",
    "run_parameters": "layers",
    "notes": "Notes",
    "logs": "No Logs",
    "messages": "INFO",
    "metrics": 'subset="val"',
    "system": "System",
    "distributions": "Step 0",
    "images": "Steps count",
    "audios": "00:00",
    "texts": "Index",
    "figures": "empty context",
    "settings": "Archive Run",
}
_EXPERIMENT_TABS = {"overview": "Total runs: 3", "runs": "(3/3)", "notes": "Notes", "settings": "Delete Experiment"}


def enter(page: Page, server: Server) -> None:
    """Open the UI for the first time, and put away what it greets with."""
    page.goto(f"{server.url()}/")
    page.get_by_text("Skip", exact=True).click()


def go(page: Page, server: Server, path: str) -> None:
    """Go to another page without loading the UI again, as its own links do."""
    script = "path => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate')) }"
    page.evaluate(script, server.base_path + path)


def search(page: Page, server: Server, explorer: str) -> None:
    """Search for everything that an explorer offers, and wait until it is drawn."""
    go(page, server, f"/{explorer}")
    page.get_by_role("button", name=EXPLORERS[explorer]).click()
    options = page.locator("[class$=Form__option]")
    options.first.wait_for()
    for option in options.all():
        option.click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("body")).to_contain_text(_FOUND[explorer], ignore_case=True, timeout=_PATIENCE)


def as_html(page: Page) -> None:
    """Have the text explorer show texts as HTML."""
    page.get_by_role("button", name="Text Renderer").click()
    page.get_by_text("HTML", exact=True).click()
    page.keyboard.press("Escape")


def walk(page: Page, server: Server) -> Iterator[str]:
    """Visit every page, and wait until it shows what it has of `showcase.py`."""
    enter(page, server)
    for explorer in EXPLORERS:
        search(page, server, explorer)
        yield explorer
    for path, shown in pages(server).items():
        go(page, server, path)
        expect(page.locator("body")).to_contain_text(shown, ignore_case=True, timeout=_PATIENCE)
        yield path


def pages(server: Server) -> dict[str, str]:
    """What a page shows without being asked for more, by path."""
    experiments = server.json("/api/experiments/")
    (experiment,) = [each["id"] for each in experiments if each["name"] == "showcase"]
    reports = server.json("/api/reports/")
    return {
        **_PAGES,
        **{f"/runs/{RUN}/{tab}": shown for tab, shown in _RUN_TABS.items()},
        **{f"/experiments/{experiment}/{tab}": shown for tab, shown in _EXPERIMENT_TABS.items()},
        **{f"/reports/{each['id']}": "Edit" for each in reports},
        **{f"/reports/{each['id']}/edit": "# hello" for each in reports},
    }

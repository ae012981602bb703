"""How long a page takes in a real browser, with thousands of runs beside twenty: `python -m bench.browser`."""

from __future__ import annotations

import os
import statistics
import time

from playwright.sync_api import Browser

from bench.load import CHEAP
from bench.serving import manifests
from bench.store import store
from tests.harness.sandbox import Pod, running
from tests.supervisor.chromium import chromium

RUNS, FEW = int(os.environ.get("RUNS") or 2000), 20
TURNS = 5
PAGES = {"/": "Total runs: {runs}", "/runs": "run {last}"}
"""What is shown once the page has what it is about."""


def shown(browser: Browser, path: str, text: str) -> float:
    """Seconds until a text of a page is shown, to somebody who has never been there."""
    with browser.new_context() as context:
        page = context.new_page()
        begin = time.perf_counter()
        page.goto(f"http://127.0.0.1:43800{path}", wait_until="commit")
        page.get_by_text(text, exact=True).first.wait_for(timeout=60_000)
        return time.perf_counter() - begin


def measure(server: Pod, runs: int) -> dict[str, float]:
    """Medians of some visits of each page; the first one of all warms up the browser."""
    with chromium(server.network) as browser:
        texts = {path: text.format(runs=runs, last=runs - 1) for path, text in PAGES.items()}
        shown(browser, "/runs", texts["/runs"])
        visits = {path: [shown(browser, path, text) for _ in range(TURNS)] for path, text in texts.items()}
    return {path: statistics.median(seconds) for path, seconds in visits.items()}


def main() -> None:
    """Measure both, and print them and their ratio."""
    measured = []
    for runs in (RUNS, FEW):
        with running(manifests(), store(runs)) as server:
            server.await_ready(CHEAP, seconds=180)
            time.sleep(20)  # for the index
            measured.append(measure(server, runs))
    many, few = measured
    print(f"\nin a browser: seconds until shown    {RUNS} runs  {FEW} runs   ratio")
    for path, value in many.items():
        print(f"{path:34} {value:11.2f} {few[path]:8.2f} {value / few[path]:7.2f}")


if __name__ == "__main__":
    main()

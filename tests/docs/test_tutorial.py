"""What the tutorial shows on the screen is what its Job records, in the real Aim and a real browser."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page

from tests.docs.blocks import ROOT
from tests.harness.aim_environment import ENVIRONMENT, MISSING
from tests.harness.sandbox import skip
from tests.supervisor.aim_server import Server, serving
from tests.supervisor.chromium import chromium, visit

INDEX = "import sys; from aim.sdk.repo import Repo; Repo.from_path(sys.argv[1])._recreate_index()"
"""Does what the indexer of a pod does at once; here is only its web server."""

pytestmark = pytest.mark.pod  # runs the real Aim

RATES = ("rate 0.1", "rate 0.03", "rate 0.01")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; Playwright's event loop goes on until its end, and no other test could have one."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Serves what the Job of examples/manifests/first-run.yaml has recorded."""
    if not (ENVIRONMENT / "bin/aim").exists():
        skip(MISSING)
    job = yaml.safe_load((ROOT / "examples/manifests/first-run.yaml").read_text(encoding="utf-8"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    with tempfile.TemporaryDirectory(prefix="aim-") as folder:
        environment = {**os.environ, "AIM_REPO": folder, "PATH": f"{ENVIRONMENT}/bin:{os.environ['PATH']}"}
        subprocess.run([ENVIRONMENT / "bin/aim", "init", "--repo", folder], check=True, capture_output=True)
        done = subprocess.run(container["command"], env=environment, check=True, capture_output=True, text=True)
        assert done.stdout.splitlines() == [f"recorded {rate}" for rate in RATES]
        subprocess.run([ENVIRONMENT / "bin/python", "-c", INDEX, folder], check=True, capture_output=True)
        with serving(Path(folder)) as started:
            yield started


def shown(page: Page, name: str) -> None:
    """Keep a picture of a page for the documentation, with PICTURES=1; it has been there before otherwise."""
    picture = ROOT / f"docs/images/{name}.png"
    if os.environ.get("PICTURES"):
        page.screenshot(path=picture)
    assert picture.is_file()


def test_the_page_of_runs_shows_the_three_runs(browser: Browser, server: Server) -> None:
    """As in the tutorial's first picture."""
    with visit(browser) as session:
        page = session.tab()
        page.set_viewport_size({"width": 1280, "height": 480})
        page.goto(f"{server.url()}/runs")
        for rate in RATES:
            page.get_by_text(rate, exact=True).first.wait_for(timeout=60_000)
        page.get_by_role("button", name="Skip").click()
        session.settle(page)
        shown(page, "runs")


def test_the_page_of_metrics_draws_their_losses(browser: Browser, server: Server) -> None:
    """By the tutorial's steps: six lines, of three runs."""
    with visit(browser) as session:
        page = session.tab()
        page.set_viewport_size({"width": 1280, "height": 640})
        page.goto(f"{server.url()}/metrics")
        page.get_by_role("button", name="Metrics").click(timeout=60_000)
        page.get_by_role("option", name="loss").first.click(timeout=60_000)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Skip").click()
        page.get_by_role("button", name="Search").click()
        page.get_by_text("Mixed: 3 values").first.wait_for(timeout=60_000)
        session.settle(page)
        shown(page, "metrics")


def test_the_tutorial_shows_the_example() -> None:
    """On GitHub a page includes no file."""
    example = (ROOT / "examples/laptop.yaml").read_text(encoding="utf-8")
    content = "".join(line for line in example.splitlines(keepends=True) if not line.startswith("#"))
    assert content in (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")

"""A real browser for the tests: Debian's Chromium, without a window, and with no host but this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import mimetypes
import re
import shlex
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, Route, sync_playwright

from tests.harness.sandbox import skip

_NAMES = ("rebound.example", "aim.example.com")
_RULES = [
    *(f"MAP {name} 127.0.0.1" for name in _NAMES),
    "MAP * ~NOTFOUND",
    *(f"EXCLUDE {name}" for name in ("localhost", "127.0.0.1")),
]
_FLAGS = [
    "--no-sandbox",  # or it does not start as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PYODIDE = "https://cdn.jsdelivr.net/pyodide/v0.23.4/full/"
_PACKAGE = Path(__file__).resolve().parents[2] / "node_modules/pyodide"


@contextlib.contextmanager
def chromium(within: Sequence[str] = (), *, ports: Mapping[str, int] | None = None) -> Iterator[Browser]:
    """Start the browser.

    Args:
        within: a command that runs it elsewhere, such as in the network of a pod. Default: here.
        ports: of this machine, where ports of other names lead, such as `aim.example.com:443`. Default: none.
    """
    executable = shutil.which("chromium")
    if not executable:
        skip("no `chromium` on PATH")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        script = Path(folder, "chromium")
        script.write_text(f'#!/bin/sh\nexec {shlex.join([*within, executable])} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
        playwright = stack.enter_context(sync_playwright())
        # names of other owners lead to this machine, and no other name anywhere
        rules = [f"MAP {place} 127.0.0.1:{port}" for place, port in (ports or {}).items()] + _RULES
        flags = [*_FLAGS, f"--host-resolver-rules={', '.join(rules)}"]
        browser = playwright.chromium.launch(executable_path=script, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@dataclasses.dataclass(kw_only=True)  # not frozen: Playwright keeps something of its own in it
class Visit:
    """A user's session.

    Attributes:
        context: its cookies and tabs.
        reports: whether the web has pyodide, which runs the code of reports and takes seconds to start.
        outside: requests to other hosts than this machine that the browser would have sent.
        errors: written to the console of any tab.
        under_way: requests that have no answer yet.
    """

    context: BrowserContext
    reports: bool
    outside: list[str] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)
    under_way: set[Request] = dataclasses.field(default_factory=set)

    def answer(self, route: Route) -> None:
        """Stand in for the rest of the web, which is empty but for pyodide."""
        url = route.request.url
        self.outside.append(url)
        file = _PACKAGE / url.removeprefix(_PYODIDE)
        found = self.reports and url.startswith(_PYODIDE) and file.is_file()
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        headers = {"access-control-allow-origin": "*", "content-type": kind if found else "text/plain"}
        route.fulfill(status=200 if found else 404, body=file.read_bytes() if found else b"", headers=headers)

    def tab(self) -> Page:
        """A new tab."""
        page = self.context.new_page()
        page.on("console", self._note)
        page.on("pageerror", self._note)
        page.on("request", self._begin)
        page.on("requestfinished", self._end)
        page.on("requestfailed", self._end)
        return page

    def _note(self, error: ConsoleMessage | Error) -> None:
        if isinstance(error, Error):
            self.errors.append(str(error))
        elif error.type == "error":
            self.errors.append(error.text)

    def _begin(self, request: Request) -> None:
        self.under_way.add(request)

    def _end(self, request: Request) -> None:
        self.under_way.discard(request)

    def settle(self, page: Page) -> None:
        """Wait until nothing is under way, and a page has shown the same for a second."""
        same, shown = 0, ""
        for _ in range(300):
            same = same + 1 if not self.under_way and page.inner_text("body") == shown else 0
            if same == 5:
                return
            shown = page.inner_text("body")
            page.wait_for_timeout(200)
        raise AssertionError([request.url for request in self.under_way])


@contextlib.contextmanager
def visit(browser: Browser, *, web: bool = True, reports: bool = False) -> Iterator[Visit]:
    """A session of its own.

    Args:
        browser: to have it in.
        web: whether there is a stand-in for the rest of the web. Playwright answers preflights itself then.
        reports: whether it has what runs the code of reports.
    """
    context = browser.new_context(viewport={"width": 1600, "height": 1200})
    try:
        started = Visit(context=context, reports=reports)
        if web:
            elsewhere = re.compile(r"^https?://(?!localhost|127\.0\.0\.1)")
            context.route(elsewhere, started.answer)
        yield started
    finally:
        context.close()


@contextlib.contextmanager
def site(page: str) -> Iterator[int]:
    """Serve one page on a port of its own, as another site does; the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()

"""Keeps browsers from running scripts of stored text, and from showing answers to other pages.

Wrong in Aim: its UI shows text that anyone who records a run has chosen (texts as HTML, notes, figures) and runs the
code of reports, on an origin from which every run can be read and deleted (PR #3333, unmerged; issue #3312). Answers
of the API have no content type, so a browser guesses one. Its CORS middleware lets every page read every answer.

Done here: `SecurityHeaders` gives every page a Content-Security-Policy, every answer `nosniff`, a content type, and
`Cross-Origin-Resource-Policy`, and takes away what CORS allows.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

from .asgi import App, HeldAnswer, Message, Receive, Scope, Send, values

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)

_PYODIDE = "https://cdn.jsdelivr.net/pyodide/v0.23.4/full/"
"""Runs the code of reports; the folder of the version that Aim loads, or any package of the CDN could be a script."""

_POLICY = {
    "default-src": "'none'",
    # plotly compiles the shaders of its WebGL figures (a scatter of more than 1,000 points is one) by `new Function`;
    # text that a browser takes for a script, or for a link or handler with one, is none without 'unsafe-inline'
    "script-src": f"'self' {_PYODIDE} 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline' https://fonts.googleapis.com",
    "font-src": "'self' data: https://fonts.gstatic.com",
    # images and sounds of runs, and exported charts
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "manifest-src": "'self'",
    "worker-src": "'self' blob:",
    # packages that a report imports, maps in figures, and the news on Aim's front page
    "connect-src": f"'self' {_PYODIDE} https://pypi.org https://files.pythonhosted.org https://cdn.plot.ly "
    "https://a.tile.openstreetmap.org https://b.tile.openstreetmap.org "
    "https://api.github.com/repos/aimhubio/aim/releases",
    # the UI sends forms by fetch() alone
    "form-action": "'none'",
    "base-uri": "'none'",
    # a notebook server that has Aim below its own origin may embed it
    "frame-ancestors": "'self'",
}

_EVERYWHERE = [
    (b"x-content-type-options", b"nosniff"),
    # not no-referrer: browsers would send `Origin: null` with Aim's own forms
    (b"referrer-policy", b"same-origin"),
    # browsers withhold the answer from images and scripts of other pages, also where they send no Sec-Fetch-Site
    (b"cross-origin-resource-policy", b"same-origin"),
]


class SecurityHeaders:
    """Adds and removes headers of an application's answers; their bodies stay as they are."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, through a filter."""
        await self._app(scope, receive, _Answer(send) if scope["type"] == "http" else send)


class _Answer:
    """Passes on an answer. A page, of a few kilobytes, is held until its scripts are known."""

    def __init__(self, send: Send) -> None:
        self._held = HeldAnswer(send, _with_policy, holds=_is_page)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _hardened(message)}
        await self._held(message)


def _with_policy(page: Message, body: bytes) -> Message:
    return {**page, "headers": [*page["headers"], *_page_headers(body)]}


def _is_page(start: Message) -> bool:
    return any(each.lower().startswith("text/html") for each in values(start, b"content-type"))


def _hardened(start: Message) -> Iterable[tuple[bytes, bytes]]:
    kept = [pair for pair in start.get("headers", ()) if not pair[0].lower().startswith(b"access-control-")]
    typed = values(start, b"content-type") or start["status"] in {204, 304}
    # streams of searches: bytes of Aim's own encoding
    guess = [] if typed else [(b"content-type", b"application/octet-stream")]
    return [*kept, *guess, *_EVERYWHERE]


def _page_headers(body: bytes) -> Iterable[tuple[bytes, bytes]]:
    return [
        (b"content-security-policy", page_policy(body).encode()),
        (b"x-frame-options", b"SAMEORIGIN"),
        # a page that opens Aim in a window gets no hold of the window
        (b"cross-origin-opener-policy", b"same-origin"),
    ]


def page_policy(body: bytes) -> str:
    """Content-Security-Policy of a page of Aim's: the scripts that stand in the page are allowed by their hashes.

    That is sound because the server puts nothing of a user's into a page: Aim's pages are one template, in which
    the base path alone differs, and everything else is fetched by its scripts.
    """
    digests = (hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(body))
    hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    policy = {**_POLICY, "script-src": " ".join([_POLICY["script-src"], *hashes])}
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())

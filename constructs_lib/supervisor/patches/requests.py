"""Refuses requests that a page of another origin makes a user's browser send.

Wrong in Aim: its CORS middleware answers every origin with `access-control-allow-credentials: true`, and no request is
checked. Any web page that a user opens reads every run, deletes them and runs searches (GHSA-mxvw-cj37-8g2h is reached
this way), through the user's port-forward, VPN or login session. No network policy and no login sees a difference.

Done here: `SameOrigin` goes by two headers that browsers set and no page can change.

* `Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/) decides where it is there. Browsers send it to HTTPS and
  loopback addresses.
* `Origin` decides otherwise, against the Host that the browser asked. Browsers send it with every request but GET and
  HEAD, with every `fetch()` of another origin, and with WebSockets.

Left open: over plain HTTP to another host than loopback, an `<img>` of another page sends neither (Chromium 156, seen).
Its GET runs, within what a search may cost (`costs.py`), but the page learns nothing of the answer (`content.py`), and
no GET changes anything. With TLS, every browser since 2023 sends the first.
Pages on the very same origin (another application on another path of one host name) cannot be told from Aim's own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .asgi import App, Receive, Scope, Send, send_text, values

_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^][:/@\s]+)(?::(?P<port>[0-9]{1,5}))?")

_FOREIGN = (
    "refused: a page of another origin sent this request, and Aim answers its own pages: open Aim in a tab of its own. "
    "If this is one: the proxy in front has to keep the Host header, or to send X-Forwarded-Host"
)
_MISDIRECTED = "refused: the server is not to be reached by this host name: open Aim by one of its allowed hosts"


class _Address(NamedTuple):
    host: str
    port: int | None


class SameOrigin:
    """Passes on a request of Aim's own pages, of no page at all (curl, the SDK), or that follows a link to a page.

    Another subdomain or another port (`Sec-Fetch-Site: same-site`) is refused like another site: a notebook server
    or a user's page beside Aim is no more Aim than the rest of the web.
    """

    def __init__(self, app: App, *, allowed_hosts: Sequence[str] = (), base_path: str = "") -> None:
        """Wrap an ASGI application.

        Args:
            app: to protect.
            allowed_hosts: names that clients reach the server by, without port; `*.example.com` stands for one label.
                The names of the Service count. Default: any name.
            base_path: in front of every path of Aim's.
        """
        self._app = app
        self._allowed = frozenset(name.lower() for name in allowed_hosts)
        self._base_path = base_path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 or 403 with one line, or let the application answer."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
        elif not self._answers_to(values(scope, b"host")):
            await _refuse(scope, send, 421, _MISDIRECTED)
        elif _is_foreign(scope) and not self._is_link(scope):
            await _refuse(scope, send, 403, _FOREIGN)
        else:
            await self._app(scope, receive, send)

    def _answers_to(self, hosts: Sequence[str]) -> bool:
        """Whether a request came by an allowed name: prevents DNS rebinding, where a page's own name leads here.

        Only Host counts: a page that was rebound is of the same origin, and may send any X-Forwarded-Host it likes.
        """
        return not self._allowed or (bool(hosts) and all(map(self._is_allowed, hosts)))

    def _is_allowed(self, host: str) -> bool:
        """Whether a name is allowed, or cannot be rebound: nobody's DNS answers for `localhost` or an IP address.

        The peer's address says nothing: by `kubectl port-forward`, a rebound page comes from the pod's loopback, too.
        """
        address = _address(host, "http")
        if address is None:
            return False
        name = address.host.rstrip(".")
        wildcard = "*." + name.partition(".")[2]
        return name in self._allowed or wildcard in self._allowed or name == "localhost" or _is_ip(name)

    def _is_link(self, scope: Scope) -> bool:
        """Whether a browser opens a page in a tab. A link to the API is none: it would run a search.

        "api" anywhere in the path counts: uvicorn may be told of a further prefix (UVICORN_ROOT_PATH), and no page of
        Aim's has such a part.
        """
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            return False
        # not iframe, embed or object: embedded, Aim could be made to be clicked on
        opens_tab = [*values(scope, b"sec-fetch-mode"), *values(scope, b"sec-fetch-dest")] == ["navigate", "document"]
        return opens_tab and "api" not in scope["path"].removeprefix(self._base_path).split("/")


def _is_foreign(scope: Scope) -> bool:
    """Whether a page of another origin made the browser send it; False where no browser did."""
    sites = values(scope, b"sec-fetch-site")
    if sites:
        # "none": the user did, by the address bar or a bookmark
        return not {"same-origin", "none"}.issuperset(sites)
    return not all(_is_among(_hosts(scope), origin) for origin in values(scope, b"origin"))


def _hosts(scope: Scope) -> list[str]:
    """What the browser may have asked for, the hosts that proxies say they were asked for among them.

    X-Forwarded-Host is whatever the client says, but a page of another origin cannot say it: a header of its own needs
    a preflight, which is refused.
    """
    forwarded = (host for each in values(scope, b"x-forwarded-host") for host in each.split(","))
    return [*values(scope, b"host"), *(host.strip() for host in forwarded)]


def _is_among(hosts: Iterable[str], origin: str) -> bool:
    """Whether an Origin names one of the hosts.

    Its scheme tells the port that goes without saying, and no more: a proxy that ends TLS leaves http on this side.
    """
    scheme, _, authority = origin.lower().partition("://")
    address = _address(authority, scheme)
    return scheme in _PORTS and address is not None and address in {_address(host, scheme) for host in hosts}


def _address(authority: str, scheme: str) -> _Address | None:
    found = _AUTHORITY.fullmatch(authority.lower())
    if not found:
        return None
    port = found["port"]
    return _Address(host=found["host"], port=int(port) if port else _PORTS.get(scheme))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


async def _refuse(scope: Scope, send: Send, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        # before it is accepted: uvicorn answers the handshake with 403
        await send({"type": "websocket.close", "code": 1008})
        return
    await send_text(send, status, text)

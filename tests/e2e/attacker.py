"""Asks for what only who is logged in may know, in many ways; prints those ways in which it was told.

Runs in a pod, so it imports nothing of ours: `attacker.py ADDRESS HOST SECRET [AUTHORIZATION]`.
"""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Iterator

SEARCH = "/api/runs/search/run/?q=True"
END = "\r\n"

PLAIN = SEARCH, "/api/projects/", "/api/experiments/", "/api/runs/active/", "/", "/ping", "/metrics", "/static/.."
"""Below the base path."""

PREFIXES = (
    *("", "/aim/.", "//aim", "/aim/", "/AIM", "/%61im", "/aim/%2e", "/aim/oauth2/..", "/aim/oauth2/%2e%2e"),
    *("/aim/oauth2/static/../..", "/aim/oauth2/static/..%2f..", "/aim/oauth2;/..", "/ping/../aim", "/ping%2f..%2faim"),
    *(
        "/ready/../aim",
        "/robots.txt/../aim",
        "/track/status/../../aim",
        "/track/client/..%2f..%2faim",
        "/aim/static/..",
    ),
)
"""Of the search."""

ELSEWHERE = (
    "*",
    "/track/client/x/",
    "/track/status/",
    "/track/tracking/x/get-resource/",
    "/metrics",
    "/livez",
    "/readyz",
)

HEADERS = {
    "X-Forwarded-Uri": "/ping",
    "X-Original-Url": "/ping",
    "X-Rewrite-Url": f"/aim{SEARCH}",
    "X-Forwarded-User": "ci",
    "X-Auth-Request-User": "ci",
    "X-Forwarded-Email": "ci@example.com",
    "X-Forwarded-For": "127.0.0.1",
    "X-Real-Ip": "127.0.0.1",
    "X-Forwarded-Host": "localhost",
    "X-Http-Method-Override": "OPTIONS",
    "Authorization": "Basic Og==",
    "Cookie": "_aim_aim=x",
    "Upgrade": "h2c",
    "Forwarded": "for=127.0.0.1;host=localhost",
}
UPGRADE = END.join(
    ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {'A' * 22}==", "")
)


def requests(host: str) -> Iterator[tuple[str, str, str]]:
    """Method, path, and further lines."""
    paths = [f"{prefix}{SEARCH}" for prefix in PREFIXES] + [*ELSEWHERE]
    paths += [f"http://{host}/aim{SEARCH}", f"http://localhost:43800/aim{SEARCH}", f"/ping?/aim{SEARCH}"]
    yield from (("GET", path, "") for path in paths)
    methods = "GET", "POST", "HEAD", "OPTIONS", "get"
    yield from ((method, f"/aim{path}", "") for path in PLAIN for method in methods)
    yield from (("GET", f"/aim{SEARCH}", f"{name}: {value}{END}") for name, value in HEADERS.items())
    yield "GET", f"/aim{SEARCH}", UPGRADE
    # a second request within the body of the first, for servers that differ on where that ends
    inner = f"GET /aim{SEARCH} HTTP/1.1{END}Host: localhost{END}{END}"
    body = f"0{END}{END}{inner}"
    yield "POST", "/ping", f"Content-Length: {len(body)}{END}Transfer-Encoding: chunked{END}{END}{body}"


def told(address: str, text: str) -> bytes:
    """What is answered, without the first headers."""
    answer = b""
    with socket.create_connection((address, 80), 10) as connection:
        connection.settimeout(2)
        try:
            connection.sendall(text.encode())
            while part := connection.recv(65536):
                answer += part
        except OSError:
            pass
    return answer.partition(b"\r\n\r\n")[2]


def main(address: str, host: str, secret: str, authorization: str = "") -> None:
    """Ask; every request is for the host, and once more for Aim's own machine."""
    given = f"Authorization: {authorization}{END}" if authorization else ""
    for (method, path, more), name in itertools.product(requests(host), (host, "localhost")):
        close = "" if "Upgrade" in more else f"Connection: close{END}"
        text = f"{method} {path} HTTP/1.1{END}Host: {name}{END}{close}{given}{more}{END}"
        if secret.encode() in told(address, text):
            print(method, path, name, more.partition(":")[0])


if __name__ == "__main__":
    main(*sys.argv[1:])

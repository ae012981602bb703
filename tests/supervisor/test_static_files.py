"""Files of the UI that are not there are no failure of the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from constructs_lib.supervisor.patches.asgi import Receive, Scope, Send, send_text
from constructs_lib.supervisor.patches.static_files import StaticFiles
from tests.supervisor.asgi_client import ask


async def aim(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answers whatever it is asked."""
    await send_text(send, 200, "aim")


@pytest.fixture
def app(tmp_path: Path) -> StaticFiles:
    """An application with two files, one of which is compressed."""
    (tmp_path / "static/js").mkdir(parents=True)
    for name in ("main.js.gz", "map.json"):
        (tmp_path / "static/js" / name).touch()
    return StaticFiles(aim, tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "/static-files/static/js/main.js",
        "/static-files/static/js/map.json/",
        "/ml/aim/static-files/static/./js/map.json",
        "/static-files",
        "/runs/static",
        "/api/runs/",
    ],
)
def test_what_is_there_is_asked_of_aim(app: StaticFiles, path: str) -> None:
    """A compressed file by the name that the page knows, below a base path, and all that is no file."""
    assert ask(app, path).status == 200


@pytest.mark.parametrize(
    "name",
    ["", "static", "static/js/main.1f2e.js", "../x", "../../etc/passwd", "/etc/passwd", "\0", "\udcff", "a" * 300],
)
def test_what_is_not_there_is_not_found(app: StaticFiles, name: str) -> None:
    """Whatever its name is."""
    answer = ask(app, f"/static-files/{name}")
    assert (answer.status, answer.body) == (
        404,
        b"there is no such file: reload the page, which may be of a former version\n",
    )

"""Answers 404 where Aim's UI has no such file.

Wrong in Aim 3.29: it answers 500, with sixty lines in the log. A page of a former version that is still open in a
browser asks for such files, and so does each scanner.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

from .asgi import App, Receive, Scope, Send, send_text

_PREFIX = "/static-files/"


class StaticFiles:
    """Passes on a request, unless it is for a file of the UI that is not there."""

    def __init__(self, app: App, folder: Path) -> None:
        """Wrap an ASGI application.

        Args:
            app: that serves the files, the compressed ones without their ending.
            folder: of the files, which stay as they are.
        """
        self._app = app
        files = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        self._names = frozenset(name.removesuffix(".gz") for name in files)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 404 with one line, or let the application answer."""
        _, prefix, name = scope.get("path", "").partition(_PREFIX)
        if scope["type"] == "http" and prefix and posixpath.normpath(name) not in self._names:
            await send_text(send, 404, "there is no such file: reload the page, which may be of a former version")
        else:
            await self._app(scope, receive, send)


def folder_of_ui() -> Path:
    """Folder of the files of Aim's UI."""
    import aim_ui

    return Path(str(aim_ui.__file__)).parent / "build"

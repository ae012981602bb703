"""Prints every route of Aim's two applications, with its methods: run by Aim's interpreter."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

folder = tempfile.mkdtemp()
os.environ["__AIM_UI_MOUNT_REPO_PATH__"] = os.environ["__AIM_SERVER_MOUNT_REPO_PATH__"] = folder
os.environ["__AIM_UI_BASE_PATH__"], os.environ["__AIM_SERVER_BASE_PATH__"] = sys.argv[1:3]

from aim.ext.transport.server import create_app as tracking  # noqa: E402
from aim.web.run import create_app as web  # noqa: E402


def routes(application: Any, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Paths with the names of their parameters in braces, and of the applications within."""
    for path, methods in application.openapi()["paths"].items():
        yield prefix + path, sorted(method.upper() for method in methods)
    for route in application.routes:
        if hasattr(route, "methods"):
            yield prefix + route.path, sorted(route.methods or ["GET"])
        elif hasattr(getattr(route, "app", None), "openapi"):
            yield from routes(route.app, prefix + route.path)


print(json.dumps([*routes(web()), *routes(tracking())]))

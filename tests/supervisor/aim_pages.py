"""Answers what a browser asked for, by the real Aim's web application, with this project's patches or without.

Runs in Aim's environment, with the package `supervisor` on its path; reads requests as JSON, and prints answers.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import importlib
import json
import os
import re
import struct
import sys
from pathlib import Path
from typing import Any

from aim_queries import request  # type: ignore[import-not-found]

_TOKEN = re.compile(rb"gAAA(?:[\w-]{4})+(?:[\w-]{2}==|[\w-]{3}=)?")
"""Text encrypted for the UI to send back: an address of a blob."""

_MADE = re.compile(rb"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+")
"""Identifiers, and times to the microsecond: what the server has made up."""


class Browser:
    """Asks one thing after the other, as the recorded browser did.

    Attributes:
        known: what the braces of the requests stand for.
    """

    def __init__(self, app: Any, repository: Path) -> None:
        self.known: dict[str, Any] = {}
        self._app, self._repository = app, repository

    async def ask(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Ask once; the answer has plain text in the place of tokens, and no progress."""
        filled = json.loads(self._filled(json.dumps(wanted)))
        question = {
            "method": wanted["method"],
            "path": filled["path"],
            "query": "",
            "parameters": filled.get("query", {}),
            "headers": [(b"x-timezone-offset", filled.get("timezone_offset", "0").encode())],
            "raw": True,
        }
        if "body" in filled:
            question["content"] = filled["body"]
        answer = await request(self._app, question)
        body = base64.b64decode(answer.pop("body"))
        self._learn(wanted, body)
        return {**answer, "messages": 0, "body": base64.b64encode(self._comparable(body)).decode()}

    def _filled(self, text: str) -> str:
        uris = json.dumps(self.known.get("uris", []))
        for name in ("experiment", "id"):
            text = text.replace(f"{{{name}}}", str(self.known.get(name, "")))
        return text.replace('"{uris}"', uris)

    def _learn(self, wanted: dict[str, Any], body: bytes) -> None:
        """Note what later requests need: addresses of blobs, identifiers of what was made."""
        uris = [token.decode() for token in _TOKEN.findall(body)]
        if uris:
            self.known["uris"] = uris
        if wanted["path"] == "/api/experiments":
            (self.known["experiment"],) = [each["id"] for each in json.loads(body) if each["name"] == "showcase"]
        if wanted["method"] == "POST" and wanted["path"] in {"/api/reports", "/api/apps", "/api/dashboards"}:
            self.known["id"] = json.loads(body)["id"]

    def _comparable(self, body: bytes) -> bytes:
        return _MADE.sub(b"(made up)", _TOKEN.sub(self._decrypted, without_progress(body)))

    def _decrypted(self, token: re.Match[bytes]) -> bytes:
        from cryptography.fernet import Fernet

        key = (self._repository / ".aim/ENCRYPTION_KEY").read_bytes().strip()
        return bytes(Fernet(key).decrypt(token[0]))


def without_progress(body: bytes) -> bytes:
    """A stream of Aim's pairs of keys and values without those of its progress messages; another body as it is."""
    kept, place = [], 0
    while place < len(body):
        pair = []
        for _ in range(2):
            if place + 4 > len(body):
                return body
            (length,) = struct.unpack_from("I", body, place)
            pair.append(body[place + 4 : place + 4 + length])
            place += 4 + length
        if place > len(body):
            return body
        if b"progress_" not in pair[0]:
            kept.append(struct.pack("I", len(pair[0])) + pair[0] + struct.pack("I", len(pair[1])) + pair[1])
    return b"".join(kept)


async def replay(app: Any, repository: Path, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Ask in turn, and then for everything that changes nothing once more, all at once."""
    browser = Browser(app, repository)
    in_turn = [await browser.ask(each) for each in requests]
    reading = [each for each in requests if each["method"] == "GET"]
    in_turn_again = [await browser.ask(each) for each in reading]
    at_once = await asyncio.gather(*(browser.ask(each) for each in reading))
    return {"in turn": in_turn, "again": in_turn_again, "at once": list(at_once)}


def main(repository: Path, *, patched: bool) -> None:
    """Replay what standard input has."""
    os.environ["__AIM_UI_MOUNT_REPO_PATH__"] = str(repository)
    from aim.cli.utils import build_db_upgrade_command
    from alembic.config import main as alembic

    alembic(argv=build_db_upgrade_command()[3:])
    if patched:
        from supervisor.patches.index_readers import protect_index
        from supervisor.web import web_application

        protect_index()
        options = argparse.Namespace(repository=str(repository), allow_host=[], base_path="")
        app = web_application(options)
    else:
        app = importlib.import_module("aim.web.run").app
    print(json.dumps(asyncio.run(replay(app, repository, json.load(sys.stdin)))), flush=True)
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("repository", type=Path)
    parser.add_argument("--patched", action="store_true")
    arguments = parser.parse_args()
    main(arguments.repository, patched=arguments.patched)

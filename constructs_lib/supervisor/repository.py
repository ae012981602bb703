"""The Aim repository of a volume, made, completed or refused; never by a way that can delete one."""

from __future__ import annotations

import argparse
import logging
import os
import re
from pathlib import Path
from typing import Any

from . import Refusal, say

# what Aim 3 keeps in a repository, of which an interrupted initialisation leaves some
_OF_AIM = re.compile(
    r"locks|meta|seqs|progress|check_ins|(run_metadata\.sqlite|aim_db)(-\w+)?|VERSION|ENCRYPTION_KEY|\..*", re.ASCII
)


def open_repository(volume: Path) -> Any:
    """The Aim repository of a volume: made where there is none, completed where making it was interrupted.

    Never by a way that can delete one: what cannot be served is refused.
    """
    from aim.sdk.data_version import DATA_VERSION
    from aim.sdk.repo import Repo

    complete = is_complete(volume / ".aim", DATA_VERSION)
    if not complete:
        say(f"initialising the Aim repository in {volume}")
    return Repo.from_path(str(volume), init=not complete)


def is_complete(repository: Path, supported: tuple[int, ...]) -> bool:
    """Whether a repository is there, and whole.

    Raises:
        Refusal: there is something else, or a repository that this version of Aim cannot serve.
    """
    if not repository.exists():
        return False
    move = "move it away to start an empty repository beside it"
    if not repository.is_dir():
        raise Refusal(f"{repository} is no directory: {move}")
    version = repository / "VERSION"
    text = version.read_text(encoding="utf-8", errors="replace").strip() if version.exists() else ""
    if not text:
        foreign = sorted(path.name for path in repository.iterdir() if not _OF_AIM.fullmatch(path.name))
        if foreign:
            raise Refusal(f"{repository} is no repository of Aim 3, it has {foreign[0]} in it: {move}")
        return False
    if not re.fullmatch(r"\d+(\.\d+)*", text):
        raise Refusal(f"{version} says {text[:40]!r}, no version of Aim's: {move}, or restore the file from a backup")
    found = tuple(int(part) for part in text.split("."))
    if found > supported or found[0] < supported[0]:
        known = ".".join(map(str, supported))
        raise Refusal(f"{version} says {text}, and this Aim reads {known}: use the image of Aim that wrote it")
    return True


def prepare_web_server(repository: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Migrate the web server's database; its arguments and environment are those that `aim up` gives it."""
    from aim.cli.utils import build_db_upgrade_command, build_uvicorn_command
    from aim.web import configs

    environment = {configs.AIM_ENV_MODE_KEY: "prod", configs.AIM_UI_MOUNTED_REPO_PATH: repository.path}
    if options.base_path:
        environment[configs.AIM_UI_BASE_PATH] = options.base_path
    os.environ.update(environment)
    _migrate(build_db_upgrade_command()[3:], repository.path)
    command = build_uvicorn_command("aim.web.run:app", host="0.0.0.0", port=options.port, workers=options.workers)
    return {"arguments": command[3:], "environment": environment}


def _migrate(arguments: list[str], repository: str) -> None:
    from alembic.config import main as alembic

    try:
        alembic(argv=arguments)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever alembic, SQLAlchemy or SQLite raise
        reason = str(error.__cause__ or error.__context__ or error).strip().split("\n")[0]
        raise Refusal(
            f"cannot bring {repository}/aim_db to this version of Aim: {reason}. "
            f"If a newer Aim wrote it, use that one's image"
        ) from None
    # alembic switches off every logger there is, and Aim's indexer has something to say
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False

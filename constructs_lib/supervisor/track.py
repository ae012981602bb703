"""Aim's tracking server (`aim server`): takes runs over the network, beside the web server and on the same volume.

It is a writer like any other, so it needs no hold on the volume; but it must see the processes of the web server's
container, as Aim's locks take a holder on the same host whose process they cannot see for dead.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

from . import say
from .child import command_of
from .repository import is_complete
from .volume import check_writable
from .web import web


def track(options: argparse.Namespace) -> None:
    """Become `accept`, in Aim's interpreter."""
    check_writable(Path(options.repository))
    os.environ["PYTHONUNBUFFERED"] = "1"
    command = [*command_of("accept"), *sys.argv[2:]]
    os.execv(command[0], command)


def accept(options: argparse.Namespace) -> None:
    """Wait until there is a repository, and take runs into it until told to stop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    from aim.cli.utils import build_uvicorn_command
    from aim.ext.transport.config import AIM_SERVER_BASE_PATH, AIM_SERVER_MOUNTED_REPO_PATH
    from aim.sdk.data_version import DATA_VERSION
    from aim.sdk.repo import Repo
    from aim.web.configs import AIM_ENV_MODE_KEY

    _await_repository(Path(options.repository), DATA_VERSION)
    os.environ[AIM_ENV_MODE_KEY] = "prod"
    os.environ[AIM_SERVER_BASE_PATH] = options.base_path
    os.environ[AIM_SERVER_MOUNTED_REPO_PATH] = Repo.from_path(options.repository).path
    threading.Thread(target=_end_with_volume, args=[Path(options.repository) / ".aim"], daemon=True).start()
    say(f"taking runs for {options.repository} on port {options.port}")
    web(build_uvicorn_command("aim.ext.transport.run:app", host="0.0.0.0", port=options.port, log_level="")[3:])


def _await_repository(volume: Path, supported: tuple[int, ...]) -> None:
    """Making one is the other container's business."""
    if not is_complete(volume / ".aim", supported):
        say(f"waiting for the Aim repository in {volume}")
    while not is_complete(volume / ".aim", supported):
        time.sleep(0.5)


def _end_with_volume(repository: Path) -> None:
    """End when the repository is gone or the volume full.

    A client waits and tries again when its connection breaks, but gives up for good on an error that it is answered.
    """
    identity, reason = repository.stat().st_ino, ""
    while not reason:
        time.sleep(2)
        try:
            gone = repository.stat().st_ino != identity
            reason = f"{repository} is not the one it was" if gone else ""
            if os.statvfs(repository).f_bavail == 0:
                reason = f"no space left for {repository}"
        except OSError as error:
            reason = str(error)
    say(reason)
    sys.stdout.flush()
    os._exit(1)


def _end(*_: object) -> None:
    """Exit as intended; uvicorn, once it has drained, raises the signal again that it has caught."""
    say("stopped")
    sys.exit(0)

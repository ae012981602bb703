"""Aim's tracking server itself, in Aim's interpreter: what `aim server` starts."""

from __future__ import annotations

import argparse
import os
import threading
import time
from pathlib import Path
from typing import Any

from . import Refusal, say
from .child import report
from .patches.bodies import MOST_OF_TRACKING
from .patches.index_readers import protect_index
from .patches.stores import open_stores_in_one_thread
from .patches.tracking import REFUSALS
from .patches.tracking_requests import application
from .refused import reporter
from .repository import is_complete
from .sockets import bind
from .web import configuration, prepare_environment, run_server


def accept(options: argparse.Namespace) -> None:
    """Wait until there is a repository, and take runs into it until told to stop.

    Raises:
        Refusal: the repository is none that Aim 3.29 can serve, or the port is taken.
    """
    try:
        sockets = bind(options.host, options.port)
        config = configuration(_application(options), _arguments(options))
        if options.go_fd >= 0:
            _await_go(options.go_fd)
        _await_repository(Path(options.repository), options.report_fd)
    except Refusal as refusal:
        report(options.report_fd, ended=str(refusal))
        raise
    say(f"taking runs for {options.repository} on port {options.port}")
    report(options.report_fd, serving=True)
    tell = reporter(REFUSALS.counts, lambda refused: report(options.report_fd, refused=refused))
    run_server(config, sockets, tell)


def _application(options: argparse.Namespace) -> Any:
    """Import Aim's application, and close its holes; nothing on the volume is touched."""
    from aim.ext.transport.config import AIM_SERVER_BASE_PATH, AIM_SERVER_MOUNTED_REPO_PATH

    prepare_environment(options)
    os.environ[AIM_SERVER_BASE_PATH] = options.base_path
    os.environ[AIM_SERVER_MOUNTED_REPO_PATH] = options.repository
    protect_index()
    open_stores_in_one_thread()
    return application()


def _arguments(options: argparse.Namespace) -> list[str]:
    from aim.cli.utils import build_uvicorn_command

    # without the interpreter, `-m` and `uvicorn`; an empty log level is the one of `aim server`
    of_aim = build_uvicorn_command("aim.ext.transport.run:app", port=options.port, log_level="")[3:]
    # a message of Aim's 1 GiB takes more than two to be received
    return [*of_aim, f"--ws-max-size={MOST_OF_TRACKING}"]


def _await_go(descriptor: int) -> None:
    """Wait for the supervisor's word, and end when the supervisor does: the lock on the volume ends with it."""
    if not os.read(descriptor, 2):
        os._exit(1)
    threading.Thread(target=_end_with, args=[descriptor], daemon=True).start()


def _end_with(descriptor: int) -> None:
    os.read(descriptor, 1)
    os._exit(1)


def _await_repository(volume: Path, report_fd: int) -> None:
    """Wait for the repository; the web server's container makes it."""
    from aim.sdk.data_version import DATA_VERSION

    if not is_complete(volume / ".aim", DATA_VERSION):
        say(f"waiting for the Aim repository in {volume}")
        report(report_fd, waiting_for=f"the Aim repository in {volume}, which the web server makes")
    while not is_complete(volume / ".aim", DATA_VERSION):
        time.sleep(0.5)

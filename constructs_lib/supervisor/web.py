"""Aim's web application on sockets of the supervisor: `python -m uvicorn` in `aim up`, in processes that are forked."""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import inspect
import os
import signal
import socket
from pathlib import Path
from typing import Any, Callable

from . import say
from .patches.batches import bound_repetitions
from .patches.bodies import MOST_OF_PAGES, TOGETHER_OF_PAGES, BoundedBodies
from .patches.bounded_searches import BoundedSearches
from .patches.connections import SilentConnections
from .patches.content import SecurityHeaders
from .patches.index_readers import IndexDamage
from .patches.malformed import answer_malformed_bodies
from .patches.queries import restrict_queries
from .patches.requests import SameOrigin
from .patches.runs import restrict_run_hashes
from .patches.static_files import StaticFiles, folder_of_ui
from .patches.trash import keep_deleted_runs
from .patches.trees import bound_stored_trees
from .patches.web import speed_up_web
from .refused import RefusedRequests

DRAIN_SECONDS = 30
"""How long running queries may take after SIGTERM, unless UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN says otherwise."""

_LONGEST_DRAIN = 38
"""The supervisor ends within 45 s, well before the pod's grace period of 60 s is over."""

_DEFAULTS = {
    # longer than the idle time of the proxies in front (60 s), or they send requests into closing connections
    "UVICORN_TIMEOUT_KEEP_ALIVE": "75",
    # a worker that searches for longer than the default of 5 s would be taken for dead, and killed
    "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "60",
    # a message of a client has some hundred bytes: to compress them is a tenth of what the tracking server does
    "UVICORN_WS_PER_MESSAGE_DEFLATE": "false",
    # the proxy in front says what scheme it was asked for; who may talk to us is the NetworkPolicy's business
    "FORWARDED_ALLOW_IPS": "*",
}
"""Of uvicorn's own environment variables; those of the container win."""


def drain_seconds() -> int:
    """How long running queries may take after SIGTERM."""
    text = os.environ.get("UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN", "")
    return min(int(text), _LONGEST_DRAIN) if text.isdigit() else DRAIN_SECONDS


def prepare_environment(options: argparse.Namespace) -> None:
    """Set the variables that Aim's application reads while it is imported, and uvicorn's defaults."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    asked, drain = os.environ.get("UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN"), str(drain_seconds())
    if asked not in (None, drain):
        say(f"UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN: {asked!r}: {drain} s it is; write at most {_LONGEST_DRAIN}")
    os.environ["UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN"] = drain
    from aim.web import configs

    os.environ[configs.AIM_ENV_MODE_KEY] = "prod"
    os.environ[configs.AIM_UI_MOUNTED_REPO_PATH] = options.repository
    os.environ.pop(configs.AIM_UI_BASE_PATH, None)
    if options.base_path:
        os.environ[configs.AIM_UI_BASE_PATH] = options.base_path


def web_application(options: argparse.Namespace) -> Any:
    """Import Aim's web application, and close its holes; nothing on the volume is touched."""
    answer_malformed_bodies()
    from aim.web.run import app

    restrict_queries()
    keep_deleted_runs()
    restrict_run_hashes()
    bound_stored_trees()
    bound_repetitions()
    speed_up_web()
    found = StaticFiles(app, folder_of_ui())
    watched = BoundedSearches(IndexDamage(found, Path(options.repository)))
    bounded = BoundedBodies(watched, most=MOST_OF_PAGES, together=TOGETHER_OF_PAGES)
    guarded = SameOrigin(bounded, allowed_hosts=options.allow_host, base_path=options.base_path)
    # around the guard, so that refusals carry the headers, too
    return RefusedRequests(SecurityHeaders(guarded))


def configuration(application: Any, arguments: list[str]) -> Any:
    """Uvicorn's configuration of an application, by its own reading of a command line and of its UVICORN_ variables.

    Args:
        application: the ASGI application.
        arguments: those after `python -m uvicorn`.
    """
    import uvicorn

    module: Any = importlib.import_module("uvicorn.main")  # `uvicorn.main` is the command of that name in it
    given: dict[str, Any] = {}
    run, module.run = module.run, lambda _, **options: given.update(options)
    module.main(args=arguments, standalone_mode=False)
    module.run = run
    known = inspect.signature(uvicorn.Config).parameters
    return uvicorn.Config(application, **{name: value for name, value in given.items() if name in known})


def run_server(config: Any, sockets: list[socket.socket], heartbeat: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM, and then until running requests are answered.

    Args:
        config: uvicorn's.
        sockets: to listen on, shared by all workers.
        heartbeat: called each second while the event loop turns.
    """
    import uvicorn

    server = uvicorn.Server(config)
    silent = SilentConnections(server.server_state.connections, config.timeout_keep_alive)

    async def notify() -> None:
        heartbeat()
        silent.look()

    config.callback_notify, config.timeout_notify = notify, 1
    # uvicorn raises the signal again that it has caught, once it has drained
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    gc.enable()
    asyncio.run(server.serve(sockets=sockets))

"""Takes a role."""

from __future__ import annotations

import argparse
import os
import resource
import sys

from . import Refusal, say
from .index import index
from .serve import serve
from .track import accept, track
from .web import web

_ROLES = {"serve": serve, "index": index, "track": track, "accept": accept}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the arguments of every role but `web`."""
    parser = argparse.ArgumentParser(prog="supervisor")
    parser.add_argument("role", choices=_ROLES)
    parser.add_argument("--repository", required=True, help="where the volume is mounted")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--workers", type=int, default=1, help="processes that answer requests; default: 1")
    parser.add_argument("--base-path", default="", help="what every URL starts with, such as /aim; default: nothing")
    parser.add_argument("--ready-fd", type=int, default=-1, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Take a role; ends with 1 and the reason as the last line where it cannot be played to the end."""
    if arguments[:1] == ["web"]:
        web(arguments[1:])
        return
    options = parse(arguments)
    try:
        raise_file_limit()
        _ROLES[options.role](options)
    except (Refusal, OSError) as error:
        say(str(error))
        _exit(1)
    _exit(0)


def raise_file_limit() -> None:
    """Aim opens a few files a run and worker, and does not recover from having none left (aimhubio/aim#3389)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _exit(code: int) -> None:
    """End at once: threads of Aim's, or one that waits for a dead file system, would not let go."""
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])

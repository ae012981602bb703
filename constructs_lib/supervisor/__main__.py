"""Takes a role."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from . import Refusal, say
from .index import index
from .serve import raise_file_limit, serve
from .web import web


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the arguments of `serve` and `index`."""
    parser = argparse.ArgumentParser(prog="supervisor")
    parser.add_argument("role", choices=["serve", "index"])
    parser.add_argument("--repository", required=True, help="where the volume is mounted")
    parser.add_argument("--port", type=int, required=True, help="port of the web server")
    parser.add_argument("--workers", type=int, required=True, help="processes that answer requests")
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
        if options.role == "index":
            index(options)
        else:
            raise_file_limit()
            asyncio.run(serve(options))
    except (Refusal, OSError) as error:
        say(str(error))
        _exit(1)
    _exit(0)


def _exit(code: int) -> None:
    """End at once: threads of Aim's, or one that waits for a dead file system, would not let go."""
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])

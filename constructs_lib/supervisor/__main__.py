"""Takes a role."""

from __future__ import annotations

import os
import signal

# PID 1 of a container has no default signal handlers: without this one, a SIGTERM during the imports below is lost
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))

import argparse
import resource
import sys

from . import Refusal, say
from .accept import accept
from .drilling import drill, inspect
from .finishing import finish
from .host import host
from .maintaining import maintain, tend
from .restoring import admit, replace, restore
from .serve import serve
from .staging import stage
from .track import track
from .version import check

_SERVING = (serve, host, track, accept)
_COPYING = (stage, finish, drill, inspect, admit, restore, replace)
_ROLES = {role.__name__: role for role in (*_SERVING, *_COPYING, maintain, tend)}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the arguments of every role."""
    parser = argparse.ArgumentParser(prog="supervisor")
    parser.add_argument("role", choices=_ROLES)
    parser.add_argument("--repository", required=True, help="where the volume is mounted")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; default: none")
    parser.add_argument("--host", default="", help="address to listen on; default: every one, of IPv4 and IPv6")
    parser.add_argument("--health-port", type=int, default=0, help="port for the kubelet's probes; default: none")
    parser.add_argument("--workers", type=int, default=1, help="processes that answer requests; default: 1")
    parser.add_argument("--base-path", default="", help="what every URL starts with, such as /aim; default: nothing")
    parser.add_argument(
        "--allow-host", action="append", default=[], help="host name to answer to, repeatable; default: any"
    )
    parser.add_argument("--copy", default="", help="where a copy has been restored to")
    parser.add_argument("--run", default="", help="hash of the only run to bring back; default: all")
    parser.add_argument("--chore", default="", help="what to do; see supervisor.maintaining")
    parser.add_argument("--apply", action="store_true", help="do it; default: say only what would be done")
    parser.add_argument("--older-than", type=float, default=0, help="seconds without a change; default: 0")
    parser.add_argument("--supervisor-version", default="", help="refuse to start as another one; default: any")
    parser.add_argument("--go-fd", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--report-fd", type=int, default=-1, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Take a role; ends with 1 and the reason as the last line where it cannot be played to the end."""
    options = parse(arguments)
    try:
        if options.supervisor_version:
            check(options.supervisor_version)
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
    """End at once: a thread that waits for a dead file system would not let go."""
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])

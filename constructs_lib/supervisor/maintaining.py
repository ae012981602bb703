"""Does a chore on the repository of a volume."""

from __future__ import annotations

import argparse
import os
from typing import Callable

from .child import command_of
from .chores.leftovers import prune, reindex
from .chores.lost import close
from .chores.recompute import recompute
from .chores.report import report
from .chores.task import Task, task_of
from .chores.trashing import empty_trash, undelete
from .finishing import conclude
from .patches import check_version

_CHORES: dict[str, Callable[[Task], str]] = {
    "close": close,
    "report": report,
    "prune": prune,
    "reindex": reindex,
    "recompute": recompute,
    "empty-trash": empty_trash,
    "undelete": undelete,
}


def maintain(_: argparse.Namespace) -> None:
    """Do a chore, in the interpreter that Aim is installed in."""
    command = command_of("tend")
    os.execv(command[0], command)


def tend(options: argparse.Namespace) -> None:
    """Do a chore, and say how it ended.

    Raises:
        Refusal: it could not be done, or has found damage.
    """
    check_version()
    conclude(_CHORES[options.chore](task_of(options)))

"""What the app says about input that cannot work."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

from constructs_lib.errors import OptionError


class InputError(Exception):
    """Input that cannot work; its text is all that the user sees."""


def reporting(*, status: int = 1) -> Callable[[Callable[[], int]], Callable[[], int]]:
    """Make a program say in one message, on standard error, what input cannot work.

    Args:
        status: its exit code then.
    """

    def of_program(program: Callable[[], int]) -> Callable[[], int]:
        @functools.wraps(program)
        def run() -> int:
            try:
                return program()
            except (InputError, OptionError) as error:
                print(error, file=sys.stderr)
                return status

        return run

    return of_program

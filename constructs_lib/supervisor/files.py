"""Opens files of the volume that others can replace: a link leads out of it, a pipe or a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST = 4096
"""Bytes that are read of a file that says a few words."""

_NOT_PLAIN = {errno.ELOOP, errno.ENXIO, errno.EISDIR}
"""Errors of a link, of a pipe without another end or a socket, and of a folder."""


class NotPlainError(OSError):
    """A path leads to something else than a file."""


def open_plain(path: Path, flags: int) -> int:
    """Open a file that is no link, pipe, device or folder; returns its descriptor.

    Args:
        path: of the file.
        flags: of `os.open`.

    Raises:
        NotPlainError: it is something else.
    """
    try:
        # without O_NONBLOCK, whoever opens a pipe waits for its other end
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise (NotPlainError(*error.args) if error.errno in _NOT_PLAIN else error) from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise NotPlainError(errno.EINVAL, "is no plain file")
    return file


def read_plain(path: Path, *, most: int = MOST) -> str:
    """Read so many bytes, at most, of a file that is a file itself; raises like `open_plain`."""
    with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
        return file.read(most).decode(errors="replace")


def replace_plain(path: Path, text: str) -> None:
    """Write a file at once and for good; what is in its place, or in that of the new one, is not followed."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with fresh.open("x", encoding="utf-8") as file:  # "w" would follow a link
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)

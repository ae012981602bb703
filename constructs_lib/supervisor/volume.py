"""The volume: writable, and ours alone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import IO

from . import Refusal, say

LOCK = ".aim-server.lock"
"""Beside `.aim`; its holder is the one server of the volume, and its text the name of the holder's host."""

_ANNOUNCE_SECONDS = 60


def check_writable(volume: Path) -> None:
    """Refuse a volume, or a repository in it, that this user cannot write to."""
    repository = volume / ".aim"
    inside = sorted(repository.iterdir()) if repository.is_dir() and os.access(repository, os.R_OK | os.X_OK) else []
    for path in (volume, *([repository] if repository.exists() else []), *inside):
        writable = os.access(path, os.W_OK) and _takes_entries(path)
        if not writable and path.exists():  # a writer's journal comes and goes
            raise Refusal(_not_writable(path))


def _takes_entries(path: Path) -> bool:
    """Whether something can be made in a folder: where the server squashes or maps users, the node does not know."""
    probe = path / ".aim-server.probe"
    try:
        if path.is_dir():
            probe.mkdir(exist_ok=True)
            probe.rmdir()
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS)
    return True


def _not_writable(path: Path) -> str:
    owner, uid, gid = path.stat(), os.geteuid(), os.getegid()
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} is on a read-only file system: mount it for writing, Aim writes even to show runs"
    return (
        f"{path} belongs to uid {owner.st_uid}, gid {owner.st_gid}, and uid {uid}, gid {gid} cannot write to it: "
        f"either chown -R {uid}:{gid} the volume's directory where it is exported (a pod cannot, root squash forbids "
        f"it), or set storage.owner to its owner"
    )


class Volume:
    """The exclusive hold on a volume: one server a store, also while a deleted pod still drains on another node.

    A POSIX lock, as NFS knows them across nodes; it ends with the process that has it, so whoever gets it knows that
    the former holder, and all that ran beside it, is dead.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.former: str | None = None
        self._file: IO[str] | None = None

    async def take(self) -> None:
        """Wait until the volume is ours; `former` is the host that held it before."""
        self._file = (self.path / LOCK).open("a+", encoding="utf-8")
        announced = 0.0
        while not self._try():
            if time.monotonic() - announced > _ANNOUNCE_SECONDS:
                say(f"waiting for the server on host {self._holder()} to let go of {self.path}")
                announced = time.monotonic()
            await asyncio.sleep(0.5)
        self.former = self._holder()
        with contextlib.suppress(OSError):  # a full disk: the lock holds, it only cannot say whose it is
            self._file.truncate(0)
            self._file.write(socket.gethostname())
            self._file.flush()

    def _try(self) -> bool:
        assert self._file
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise Refusal(
                f"{self.path} is on a file system without locks ({error.strerror}): mount NFS with nfsvers=4.1, "
                f"or run rpc.statd on the nodes for NFSv3"
            ) from None
        return True

    def _holder(self) -> str:
        assert self._file
        self._file.seek(0)
        return self._file.read().strip() or "unknown"

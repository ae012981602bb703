"""The volume: mounted with locks, writable, and held by one server alone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import Callable

from . import Refusal, say
from .files import MOST, NotPlainError, open_plain
from .threads import in_thread

LOCK = ".aim-server.lock"
"""Beside `.aim`; its holder is the one server of the volume, and its text the name of the holder's host."""

TRACKING_LOCK = ".aim-tracking.lock"
"""The same of the tracking server's container: that one may drain longer than the server beside it."""

_ANNOUNCE_SECONDS = 60
_CHECK_SECONDS = 3
_LOST = {errno.EIO, errno.ESTALE, errno.EBADF, errno.ENOLCK}
"""Errors of a lock's own file: an NFS server that has given its lock to somebody else answers EIO."""

_TOLERANCE_SECONDS = 6
"""A server whose lock file was removed notices within three seconds, and has killed its processes soon after."""


def check_mount(volume: Path, table: str = "/proc/self/mountinfo") -> None:
    """Reject a mount on which locks of one node do not hold on another.

    Raises:
        Refusal: SMB, or NFS with `nolock` or with POSIX locks that stay on the node (nfs(5)).
    """
    kind, options = _mount_of(str(volume), Path(table).read_text(encoding="utf-8", errors="surrogateescape"))
    if kind in ("cifs", "smb3"):
        raise Refusal(
            f"{volume} is an SMB share: Aim's index fails on SMB (aimhubio/aim#2978), use NFS or a block volume"
        )
    local = {"nolock", "local_lock=all", "local_lock=posix"} & options
    if kind.startswith("nfs") and local:
        remedy = "without locks on the server two Aim servers destroy the index: take it out of mountOptions"
        raise Refusal(f"{volume} is mounted with {', '.join(sorted(local))}: {remedy}")


def _mount_of(path: str, table: str) -> tuple[str, set[str]]:
    """File system type and options of the mount that a path is on; see proc_pid_mountinfo(5) for the columns."""
    best, found = "", ("", set[str]())
    for line in table.splitlines():
        mounted, _, special = line.partition(" - ")
        columns, (kind, _, options) = mounted.split(" "), special.split(" ")[:3]
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code.group(1), 8)), columns[4])
        within = path == point or path.startswith(point.rstrip("/") + "/")
        if within and len(point) >= len(best):
            best, found = point, (kind, {*columns[5].split(","), *options.split(",")})
    return found


def check_writable(volume: Path, needed: tuple[str, ...] = ()) -> None:
    """Reject a volume, or a part of the repository, that this user has to write to and cannot.

    Args:
        volume: where it is mounted.
        needed: names in `.aim` that must be writable; one that is not there yet is made later. Everything else in it
            is mentioned in the log only, as a trainer of another user can make it at any moment.

    Raises:
        Refusal: names the path, its owner, and both ways out.
    """
    repository = volume / ".aim"
    inside = sorted(repository.iterdir()) if repository.is_dir() and os.access(repository, os.R_OK | os.X_OK) else []
    for path in (volume, repository, *inside):
        required = path in (volume, repository) or path.name in needed
        if path.exists() and not (os.access(path, os.W_OK) and _takes_entries(path)):
            _report_not_writable(path, required=required)


def _report_not_writable(path: Path, *, required: bool) -> None:
    with contextlib.suppress(FileNotFoundError):  # a writer's journal comes and goes
        reason = _not_writable(path)
        if required:
            raise Refusal(reason)
        say(f"{reason}; until then, runs in it can be neither deleted nor closed")


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


class Hold:
    """An exclusive lock on a file of the volume: one server a store, also while a deleted pod drains on another node.

    A POSIX lock, as NFS knows them across nodes; it ends with the process that has it.

    Attributes:
        path: the lock file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = -1
        self._asking = 0

    async def take(self, on_wait: Callable[[str], None] = lambda _: None) -> str:
        """Wait for the lock, and say for whom; returns the host that held it before.

        Args:
            on_wait: is told the same as the log, at every try.

        Raises:
            Refusal: the file system has no locks.
        """
        announced, first = 0.0, -1
        while not await in_thread(self._try):
            inode = os.fstat(self._file).st_ino
            first = inode if first < 0 else first
            on_wait(self.waiting_for)
            if time.monotonic() - announced > _ANNOUNCE_SECONDS:
                announced = time.monotonic()
                say(self.waiting_for)
            await asyncio.sleep(0.5)
        if first not in (-1, os.fstat(self._file).st_ino):
            # somebody removed the file of a server that may live: it ends by itself, and gets the time for that
            await asyncio.sleep(_TOLERANCE_SECONDS)
        former = self.holder
        await in_thread(self._sign)
        return former

    def take_now(self) -> bool:
        """Take the lock, unless it is held; whether it was taken.

        Raises:
            Refusal: the file system has no locks.
        """
        taken = self._try()
        if taken:
            self._sign()
        return taken

    @property
    def holder(self) -> str:
        """Host name in the file."""
        return os.pread(self._file, 256, 0).decode(errors="replace").strip() or "unknown"

    @property
    def waiting_for(self) -> str:
        """What a waiter says: who has the lock, and the way out where that one cannot let go."""
        return (
            f"waiting for the pod {self.holder} to release {self.path}; if the node of that pod is gone "
            f"for good, kubectl delete pod --force {self.holder}, and on NFSv3 clear its locks on the NFS server"
        )

    async def watch(self) -> Refusal:
        """Return why the lock is no longer held, as soon as it is not."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            reason = await in_thread(self._lost)
            if reason:
                return Refusal(f"{self.path} {reason}: another server may have the volume, so this one ends")

    def stop_asking(self) -> None:
        """End the process that asks for the file, where the file system lets it hang.

        It holds a lock of the kernel on the folder, and threads of this process that wait for that lock cannot be
        killed: without this, the container would not end before the file system answers.
        """
        if self._asking:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._asking, signal.SIGKILL)

    def _try(self) -> bool:
        """Try once, on the file that has the name now: a waiter must not hold on to one that was removed."""
        if self._file >= 0:
            os.close(self._file)
        self._file = self._open()
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise Refusal(
                f"{self.path.parent} is on a file system without locks ({error.strerror}): mount NFS with nfsvers=4.1, "
                f"or run rpc.statd on the nodes for NFSv3"
            ) from None
        return self._is_named()

    def _open(self) -> int:
        try:
            return open_plain(self.path, os.O_RDWR | os.O_CREAT)
        except NotPlainError:
            raise Refusal(f"{self.path} is no plain file, and no server makes another: remove it") from None

    def _sign(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: the lock holds, it only cannot say whose it is
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, socket.gethostname().encode(), 0)

    def _lost(self) -> str:
        """Why the lock is lost; an NFS client that was cut off learns it by writing only."""
        try:
            os.pwrite(self._file, socket.gethostname().encode(), 0)
            os.fsync(self._file)
        except OSError as error:
            return f"cannot be written any more ({error.strerror})" if error.errno in _LOST else ""
        return "" if self._is_named() else "was removed or replaced"

    def _is_named(self) -> bool:
        """Whether the path still leads to the file, asked in a process of its own.

        Only opening a file makes an NFS client ask the server again; but a process that closes any descriptor of a
        file loses its POSIX locks on it (fcntl_locking(2)).
        """
        self._asking = child = os.fork()
        if child == 0:
            with contextlib.suppress(OSError):
                os._exit(os.fstat(open_plain(self.path, os.O_RDONLY)).st_ino != os.fstat(self._file).st_ino)
            os._exit(1)
        status = os.waitpid(child, 0)[1]
        self._asking = 0
        return status == 0


def is_held_by(path: Path, host: str) -> bool:
    """Whether a host holds a lock file; must not be asked of one that this process holds."""
    with contextlib.suppress(FileNotFoundError, NotPlainError), os.fdopen(open_plain(path, os.O_RDWR), "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return file.read(MOST).decode(errors="replace").strip() == host
    return False

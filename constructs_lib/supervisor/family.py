"""Processes forked from one that has imported Aim: they share its memory, and start without its imports."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import Callable

from . import Refusal

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass(eq=False)
class Member:
    """A forked process.

    Attributes:
        role: what it is called in messages.
        pid: its process id.
        born: when it was forked, in monotonic seconds.
    """

    role: str
    pid: int
    _reason: int
    born: float = field(default_factory=time.monotonic)
    _is_killed: bool = False

    def signal(self, number: int) -> None:
        """Send it a signal; it is reaped by its family only, so the process id is its own."""
        self._is_killed |= number == signal.SIGKILL
        os.kill(self.pid, number)

    def end_of(self, status: int) -> str:
        """Say how it ended, by its wait status."""
        with os.fdopen(self._reason, encoding="utf-8", errors="replace") as pipe:
            reason = pipe.read().strip()
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            hint = ", as the kernel does when memory runs out" if name == "SIGKILL" and not self._is_killed else ""
            return f"the {self.role} was ended by {name}{hint}"
        return f"the {self.role} ended with exit code {os.WEXITSTATUS(status)}: {reason or 'it gave no reason'}"


def cause_of(status: int) -> str:
    """What ended a process, in few words, by its wait status."""
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit code {os.WEXITSTATUS(status)}"


class Family:
    """The processes that this one has forked.

    Attributes:
        stopping: whether SIGTERM or SIGINT has arrived.
    """

    def __init__(self) -> None:
        """Block the signals, so that none is lost between two looks at them; before any thread is started."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self.stopping = False
        self._members: dict[int, Member] = {}

    def fork(self, role: str, function: Callable[[], None]) -> Member:
        """Run a function in a new process; a `Refusal` or error in it is the reason of its end."""
        reader, writer = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            _become(function, writer)
        os.close(writer)
        member = self._members[pid] = Member(role, pid, reader)
        return member

    def wait(self, seconds: float) -> list[tuple[Member, int]]:
        """Wait for a signal, at most so long; returns the members that have ended, each with its wait status."""
        caught = signal.sigtimedwait(_SIGNALS, seconds)
        # not `!= SIGCHLD`: Python answers with signal 0 where SIGSTOP and SIGCONT have outlasted the time
        if caught and caught.si_signo in {signal.SIGTERM, signal.SIGINT}:
            self.stopping = True
        return self._reap()

    def wait_for(self, members: list[Member], seconds: float) -> None:
        """Wait until members have ended, at most so long; then kill them."""
        end = time.monotonic() + seconds
        while any(each.pid in self._members for each in members) and time.monotonic() < end:
            self.wait(0.1)
        for member in members:
            if member.pid in self._members:
                member.signal(signal.SIGKILL)

    def _reap(self) -> list[tuple[Member, int]]:
        ended = []
        for member in list(self._members.values()):
            pid, status = os.waitpid(member.pid, os.WNOHANG)
            if pid:
                del self._members[pid]
                ended.append((member, status))
        return ended


def _become(function: Callable[[], None], reason: int) -> None:
    """Call the function in a forked process, which ends with it."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        function()
        code = 0
    except Refusal as refusal:
        os.write(reason, str(refusal).encode())
    except BaseException as error:  # noqa: BLE001  # whatever Aim, SQLite or RocksDB raise
        traceback.print_exc()
        os.write(reason, f"{type(error).__name__}: {error}".encode()[:4000])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

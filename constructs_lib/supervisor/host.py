"""Imports Aim once, and forks the indexer and the web server's workers: the parent process of `aim up`."""

from __future__ import annotations

import argparse
import gc
import mmap
import os
import signal
import struct
import threading
import time
from pathlib import Path
from typing import Any

from . import Refusal, say
from .child import report
from .family import Family, Member, cause_of
from .index import index
from .patches import check_version
from .patches.index_readers import protect_index
from .patches.stores import open_stores_in_one_thread
from .refused import reporter
from .repository import prepare
from .sockets import bind
from .web import configuration, drain_seconds, prepare_environment, run_server, web_application

_YOUNG_SECONDS = 10
_MOST_YOUNG_DEATHS = 5
"""So many workers in a row that end young are a fault that another one does not cure."""


def host(options: argparse.Namespace) -> None:
    """Prepare the repository, then index and serve it until told to stop, or until one of the processes fails for good.

    Raises:
        Refusal: the reason.
    """
    family = Family()  # before numpy starts its threads, which would take the signals
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # until it can be waited for, SIGTERM ends it
    sockets = bind(options.host, options.port)
    check_version()
    protect_index()
    open_stores_in_one_thread()
    prepare_environment(options)
    server = Host(options, family, configuration(web_application(options), _arguments(options)))
    # a collection would write to the pages of every object, and so unshare them
    gc.collect()
    gc.freeze()
    if not os.read(options.go_fd, 2):
        return  # the supervisor is gone, and the lock on the volume with it
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        server.run(sockets)
    except Refusal as refusal:
        report(options.report_fd, ended=str(refusal))
        raise
    finally:
        server.stop()


def _arguments(options: argparse.Namespace) -> list[str]:
    from aim.cli.utils import build_uvicorn_command

    # without the interpreter, `-m` and `uvicorn`
    return build_uvicorn_command("aim.web.run:app", port=options.port, workers=options.workers)[3:]  # type: ignore[no-any-return]


class Host:
    """The indexer and the workers of one server."""

    def __init__(self, options: argparse.Namespace, family: Family, config: Any) -> None:
        self.options = options
        self.family = family
        self.config = config
        self.volume = Path(options.repository)
        self.indexer: Member | None = None
        self.workers: dict[Member, int] = {}
        self.heartbeats = Heartbeats(options.workers)
        self.young_deaths = 0

    def run(self, sockets: list[Any]) -> None:
        """Serve; ends with a signal or a refusal."""
        self._say(waiting_for="preparing the repository")
        self._finish(self.family.fork("preparation", lambda: prepare(self.volume)))
        ready, told = os.pipe()
        self.indexer = self.family.fork("indexer", lambda: self._index(told))
        os.close(told)
        self._say(waiting_for="opening the index")
        self._await(ready)
        while not self.family.stopping:
            for slot in set(range(self.options.workers)) - set(self.workers.values()):
                self._start_worker(slot, sockets)
            self._watch()

    def stop(self) -> None:
        """Let running queries finish and refuse new connections; the indexer finishes its run meanwhile."""
        members = [*self.workers, *self._indexers()]
        for member in members:
            member.signal(signal.SIGTERM)
        self.family.wait_for(members, drain_seconds() + 1)

    def _indexers(self) -> list[Member]:
        return [self.indexer] if self.indexer else []

    def _say(self, **values: object) -> None:
        report(self.options.report_fd, **values)

    def _finish(self, member: Member) -> None:
        """Wait until a process is through."""
        while not self.family.stopping:
            for ended, status in self.family.wait(1):
                if ended is member and status == 0:
                    return
                raise Refusal(ended.end_of(status))

    def _await(self, ready: int) -> None:
        """Wait until the indexer has said that it is ready, by a byte in the pipe; or has ended."""
        os.set_blocking(ready, False)
        while not self.family.stopping:
            try:
                if os.read(ready, 1):
                    os.close(ready)
                    return
            except BlockingIOError:
                pass
            self._check_ends(self.family.wait(0.05))

    def _index(self, told: int) -> None:
        stopping = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
        index(
            self.volume,
            ready=lambda: os.write(told, b"r"),
            progress=lambda status: self._say(
                index=str(status), runs=status.metrics, waiting_since=status.waiting_since
            ),
            stopping=stopping,
        )

    def _start_worker(self, slot: int, sockets: list[Any]) -> None:
        self.heartbeats.beat(slot)
        member = self.family.fork("worker", lambda: self._work(slot, sockets))
        if not self.workers:
            say(f"serving {self.volume} on port {self.options.port}")
            self._say(serving=True)
        self.workers[member] = slot

    def _work(self, slot: int, sockets: list[Any]) -> None:
        tell = reporter(self.config.app.counts, lambda refused: self._say(refused=refused))

        def each_second() -> None:
            self.heartbeats.beat(slot)
            tell()

        run_server(self.config, sockets, each_second)

    def _watch(self) -> None:
        self._check_ends(self.family.wait(1))
        for member, slot in self.workers.items():
            if self.heartbeats.silence(slot) > self.config.timeout_worker_healthcheck:
                say(f"a worker has not answered for {self.heartbeats.silence(slot):.0f} s, and is replaced")
                self.heartbeats.beat(slot)
                member.signal(signal.SIGKILL)

    def _check_ends(self, ended: list[tuple[Member, int]]) -> None:
        for member, status in ended:
            if member not in self.workers:
                self.indexer = None
                raise Refusal(member.end_of(status))
            del self.workers[member]
            if not self.family.stopping:
                self._note_death(member, status)

    def _note_death(self, member: Member, status: int) -> None:
        """Accept the end of a worker, unless workers keep ending as soon as they begin."""
        young = status != 0 and time.monotonic() - member.born < _YOUNG_SECONDS
        self.young_deaths = self.young_deaths + 1 if young else 0
        reason = member.end_of(status)
        if self.young_deaths == _MOST_YOUNG_DEATHS:
            raise Refusal(f"workers end as soon as they begin: {reason}")
        if status:
            say(f"{reason}; it is replaced")
            self._say(worker_ended=cause_of(status))


class Heartbeats:
    """Times at which each worker's event loop was last seen turning, in memory that the workers share."""

    _TIME = struct.Struct("d")

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, count * self._TIME.size)

    def beat(self, slot: int) -> None:
        """Note the time."""
        self._TIME.pack_into(self._memory, slot * self._TIME.size, time.monotonic())

    def silence(self, slot: int) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - float(self._TIME.unpack_from(self._memory, slot * self._TIME.size)[0])

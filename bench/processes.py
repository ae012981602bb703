"""What the processes of a pod take, seen from outside of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.harness.sandbox import Pod


class Processes:
    """The processes of a pod."""

    def __init__(self, server: Pod) -> None:
        self._server = server

    def __iter__(self) -> Iterator[Path]:
        """Give the folder in /proc of each, a parent before its children."""
        left = [self._server.pid]
        while left:
            process = Path(f"/proc/{left.pop()}")
            with contextlib.suppress(OSError):
                left += reversed(children(process))
                yield process

    def threads(self) -> int:
        """Of all of them."""
        return sum(len(list((process / "task").iterdir())) for process in self)

    def most_files(self) -> int:
        """Open files of the one that has most."""
        return max(len(list((process / "fd").iterdir())) for process in self)

    def indexer(self) -> Path:
        """The one that indexes: `aim up` itself, or the oldest that was forked beside the workers."""
        bare = [each for each in self if b"\0up\0" in (each / "cmdline").read_bytes() and children(each)]
        forked = [Path(f"/proc/{min(children(each))}") for each in self if len(children(each)) > 2]
        return (bare or forked)[-1]

    @contextlib.contextmanager
    def most_threads(self) -> Iterator[list[int]]:
        """Look ten times a second how many threads there are; the item of the list is the most."""
        most, stopping = [0], threading.Event()

        def sample() -> None:
            while not stopping.wait(0.1):
                with contextlib.suppress(OSError):
                    most[0] = max(most[0], self.threads())

        sampling = threading.Thread(target=sample)
        sampling.start()
        try:
            yield most
        finally:
            stopping.set()
            sampling.join()


def children(process: Path) -> list[int]:
    """Process ids of the children of a process."""
    texts = [(task / "children").read_text(encoding="ascii") for task in (process / "task").iterdir()]
    return [int(child) for text in texts for child in text.split()]


def cpu_seconds(process: Path) -> float:
    """What a process has run so far; by the scheduler's clock, which counts nanoseconds."""
    tasks = (process / "task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def share(process: Path, seconds: float) -> float:
    """Percents of a core that a process takes for so long."""
    begin = cpu_seconds(process)
    time.sleep(seconds)
    return 100 * (cpu_seconds(process) - begin) / seconds

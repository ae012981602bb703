"""Locks that outlived their holder, without waiting a minute for each."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from constructs_lib.supervisor import locks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where Aim keeps its locks on a volume."""
    folder = tmp_path / ".aim/locks"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that have passed, in a list of one."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def marked(path: Path, host: str, process: int = 17) -> Path:
    """A lock file as `filelock` makes it."""
    path.write_text(f"{process}\n{host}\n123\n", encoding="utf-8")
    return path


def test_what_the_dead_server_had_locked_is_removed(folder: Path) -> None:
    """Having the volume proves that its former holder is dead; others may live, and a run's own lock names no host."""
    dead, alive = marked(folder / "structured_db_lock", "dead"), marked(folder / "index", "alive")
    run = folder / "0d1f4f8f8d944389b03d50d2.softlock"
    run.write_text("2485377892354-17-1795435200.0", encoding="utf-8")
    locks.Locks(folder.parents[1]).remove_those_of("dead")
    assert [path.exists() for path in (dead, alive, run)] == [False, True, True]


def test_what_a_living_neighbour_has_locked_stays(folder: Path) -> None:
    """A container that starts again in its pod was the former holder; the tracking server beside it lives on."""
    host, alive, gone = socket.gethostname(), os.getppid(), 2**22 + 1
    ours, theirs = marked(folder / "index", host, os.getpid()), marked(folder / "structured_db_lock", host, alive)
    dead = marked(folder / "meta", host, gone)
    locks.Locks(folder.parents[1]).remove_those_of(host)
    assert [path.exists() for path in (ours, theirs, dead)] == [False, True, False]


def test_a_lock_of_another_writer_is_removed_after_a_minute(
    folder: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is held for milliseconds; one that is the same for a minute has lost its holder, and the log says so."""
    lock = marked(folder / "structured_db_lock", "trainer")
    held = locks.Locks(folder.parents[1])
    clock[0] = 59
    held.remove_if_stale()
    assert lock.exists()
    clock[0] = 60
    held.remove_if_stale()
    assert not lock.exists()
    assert "removed structured_db_lock of host trainer, held for 60 s" in capsys.readouterr().out


def test_a_lock_that_is_taken_again_and_again_stays(folder: Path, clock: list[float]) -> None:
    """Busy writers are not stale ones."""
    lock = folder / "structured_db_lock"
    held = locks.Locks(folder.parents[1])
    held.preparing = False
    for second in range(0, 300, 30):
        lock.unlink(missing_ok=True)
        marked(folder / f"other-{second}", "x").rename(lock)
        clock[0] = second
        held.remove_if_stale()
    assert lock.exists()


def test_our_own_lock_is_not_taken_from_us_while_we_prepare(folder: Path, clock: list[float]) -> None:
    """A migration of ours may well take more than a minute on a slow NFS."""
    held = locks.Locks(folder.parents[1])
    lock = marked(folder / "structured_db_lock", "us")
    for second in (0, 100):
        clock[0] = second
        held.remove_if_stale()
    assert lock.exists()


def test_a_folder_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    """An empty volume has no locks yet."""
    held = locks.Locks(tmp_path)
    held.remove_those_of("x")
    held.remove_if_stale()

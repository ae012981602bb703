"""The lock on the volume, and what makes a volume unfit."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from constructs_lib.supervisor import Refusal, volume
from constructs_lib.supervisor.volume import LOCK, Hold, check_mount, check_writable, is_held_by

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import asyncio, pathlib, sys, time
from constructs_lib.supervisor.volume import Hold
hold = Hold(pathlib.Path(sys.argv[1]))
asyncio.run(hold.take())
print("held", flush=True)
if "watch" in sys.argv:
    print(asyncio.run(hold.watch()), flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def holder(lock: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Another server that holds the lock; POSIX locks are a process's."""
    command = [sys.executable, "-c", HOLD, str(lock), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while process.stdout.readline() != "held\n":
            assert process.poll() is None
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the lock and tolerate a former server for moments instead of seconds."""
    monkeypatch.setattr(volume, "_CHECK_SECONDS", 0.05)
    monkeypatch.setattr(volume, "_TOLERANCE_SECONDS", 0.05)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_server_notices_that_its_lock_file_is_removed_or_replaced(tmp_path: Path, *, replaced: bool) -> None:
    """A second server would be let in by the new file: the first one learns it within seconds."""
    with holder(tmp_path / LOCK, "watch") as server:
        (tmp_path / LOCK).unlink()
        if replaced:
            (tmp_path / LOCK).write_text("another", encoding="utf-8")
        assert server.stdout
        assert "was removed or replaced: another server may have the volume" in server.stdout.readline()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_server_that_nfs_has_cut_off_notices_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """An NFS client whose lease has run out comes back without its lock, and every write to that file fails."""

    async def scenario() -> Refusal:
        hold = Hold(tmp_path / LOCK)
        await hold.take()

        def fail(_: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fail)
        return await asyncio.wait_for(hold.watch(), 10)

    assert f"cannot be written any more ({os.strerror(number)})" in str(asyncio.run(scenario()))


@pytest.mark.usefixtures("quick")
def test_a_full_disk_does_not_cost_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is the kernel's; only the name in it cannot be written."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    async def scenario() -> None:
        monkeypatch.setattr(os, "pwrite", fail)
        hold = Hold(tmp_path / LOCK)
        await hold.take()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(hold.watch(), 0.5)

    asyncio.run(scenario())


@pytest.mark.usefixtures("quick")
def test_checking_the_lock_does_not_lose_it(tmp_path: Path) -> None:
    """A process that closes any descriptor of a file drops its POSIX locks on it."""

    async def scenario() -> bool:
        hold = Hold(tmp_path / LOCK)
        await hold.take()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(hold.watch(), 0.5)
        command = [sys.executable, "-c", IS_HELD, str(tmp_path / LOCK)]
        return (await asyncio.to_thread(subprocess.run, command, cwd=ROOT, check=False)).returncode == 0

    assert asyncio.run(scenario())


IS_HELD = """
import pathlib, socket, sys
from constructs_lib.supervisor.volume import is_held_by
sys.exit(not is_held_by(pathlib.Path(sys.argv[1]), socket.gethostname()))
"""


@pytest.mark.usefixtures("quick")
def test_a_waiter_says_whom_it_waits_for_and_takes_a_new_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the way out; removing the file of a dead server is one."""
    lock, said = tmp_path / LOCK, list[str]()

    def remove(reason: str) -> None:
        said.append(reason)
        lock.unlink(missing_ok=len(said) > 1)

    with holder(lock):
        assert asyncio.run(asyncio.wait_for(Hold(lock).take(remove), 10)) == "unknown"
    line = f"waiting for the pod {socket.gethostname()} to release {lock}; if the node of that pod is gone"
    assert said[0].startswith(line)
    assert f"aim-supervisor: {said[0]}" in capsys.readouterr().out


def test_a_lock_is_held_by_the_host_that_it_names(tmp_path: Path) -> None:
    """The tracking server of a former pod may outlive the server beside it."""
    lock, here = tmp_path / LOCK, socket.gethostname()
    assert not is_held_by(lock, here)
    with holder(lock):
        assert is_held_by(lock, here)
        assert not is_held_by(lock, "another")
    assert not is_held_by(lock, here)


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
90 22 0:40 / /aim rw,relatime shared:1 - {kind} server:/export rw,vers=3,{options}
91 22 0:41 / /aim-other rw - nfs other:/ rw,nolock
92 22 0:42 / /with\\040space rw - cifs //share rw
"""


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("nfs", "nolock", "mounted with nolock"),
        ("nfs", "local_lock=all", "mounted with local_lock=all"),
        ("nfs", "local_lock=posix", "mounted with local_lock=posix"),
        ("cifs", "hard", "is an SMB share"),
        ("smb3", "hard", "is an SMB share"),
    ],
)
def test_a_mount_without_locks_across_nodes_is_refused(tmp_path: Path, kind: str, options: str, reason: str) -> None:
    """Two servers on it would destroy the index, and neither would know of the other."""
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS.format(kind=kind, options=options), encoding="utf-8")
    with pytest.raises(Refusal, match=f"/aim .*{reason}" if "mounted" in reason else reason):
        check_mount(Path("/aim"), str(table))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("nfs4", "local_lock=none"), ("nfs", "local_lock=flock"), ("ext4", ""), ("fuse.nfsfuse", "")],
)
def test_a_mount_with_locks_is_taken(tmp_path: Path, kind: str, options: str) -> None:
    """Aim's locks are POSIX locks, so flock may stay on the node; a neighbour's mount says nothing."""
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS.format(kind=kind, options=options), encoding="utf-8")
    check_mount(Path("/aim"), str(table))
    check_mount(Path("/aimless"), str(table))
    with pytest.raises(Refusal, match="SMB"):
        check_mount(Path("/with space/below"), str(table))


def test_a_file_that_is_gone_by_now_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """SQLite's journals come and go while others write; a link to nowhere is listed as they are, and not there."""
    (tmp_path / ".aim").mkdir()
    (tmp_path / ".aim/run_metadata.sqlite-journal").symlink_to("gone")
    check_writable(tmp_path)


def test_only_a_part_that_the_server_writes_is_a_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trainer that runs as root makes folders of its own at any moment; at the next start they are mentioned."""
    for name in ("meta", "seqs"):
        (tmp_path / ".aim" / name).mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "seqs")
    check_writable(tmp_path, ("meta",))
    assert "/.aim/seqs belongs to uid" in capsys.readouterr().out
    with pytest.raises(Refusal, match=r"/\.aim/seqs belongs to uid"):
        check_writable(tmp_path, ("seqs",))

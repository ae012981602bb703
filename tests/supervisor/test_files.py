"""A pod that mounts the volume can put links, pipes and devices where the server has its files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from constructs_lib.supervisor import Refusal, locks, notes, repository
from constructs_lib.supervisor.files import MOST, NotPlainError, read_plain
from constructs_lib.supervisor.trash import TRASH, entries
from constructs_lib.supervisor.volume import LOCK, Hold, is_held_by

OUTSIDE = "17\nanother\n"
"""What a lock of Aim's says."""


def link(path: Path) -> None:
    """A link to a file outside of the volume."""
    target = path.parents[1] / "outside"
    target.write_text(OUTSIDE, encoding="utf-8")
    path.symlink_to(target)


def link_to_nothing(path: Path) -> None:
    """A link that a server would follow to make a file."""
    path.symlink_to(path.parents[1] / "made")


def device(path: Path) -> None:
    """A link to a device that never ends; only root makes devices."""
    path.symlink_to("/dev/zero")


ODD: dict[str, Callable[[Path], None]] = {
    "link": link,
    "nothing": link_to_nothing,
    "device": device,
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A volume, with a folder around it."""
    (tmp_path / "volume/.aim/locks").mkdir(parents=True)
    return tmp_path / "volume"


@pytest.mark.parametrize("kind", ODD)
def test_a_lock_that_is_no_plain_file_is_refused(volume: Path, kind: str) -> None:
    """The server would write its name over another's file, or wait for ever."""
    ODD[kind](volume / LOCK)
    with pytest.raises(Refusal, match="no plain file"):
        asyncio.run(Hold(volume / LOCK).take())
    assert not is_held_by(volume / LOCK, OUTSIDE)
    assert not (volume.parent / "made").exists()
    if kind == "link":
        assert (volume.parent / "outside").read_text(encoding="utf-8") == OUTSIDE


@pytest.mark.parametrize("kind", ODD)
def test_a_lock_of_aims_that_is_no_plain_file_stays(volume: Path, kind: str) -> None:
    """It names no host, and the server starts."""
    lock = volume / ".aim/locks/x_lock"
    ODD[kind](lock)
    locks.Locks(volume).remove_those_of("another")
    assert lock.is_symlink() or lock.exists()


@pytest.mark.parametrize("kind", ODD)
def test_a_version_that_is_no_plain_file_is_refused(volume: Path, kind: str) -> None:
    """It would be read for ever, or from another's file."""
    ODD[kind](volume / ".aim/VERSION")
    with pytest.raises(Refusal, match="VERSION is no plain file"):
        repository.is_complete(volume / ".aim", (3, 7))


def test_the_version_is_not_written_through_a_link(volume: Path) -> None:
    """The name of the file that becomes it is known, too."""
    link(volume / ".VERSION.new")
    repository.write_version(volume / "VERSION", (3, 7))
    assert (volume.parent / "outside").read_text(encoding="utf-8") == OUTSIDE
    assert (volume / "VERSION").read_text(encoding="utf-8") == "3.7\n"


@pytest.mark.parametrize("kind", ODD)
def test_a_note_that_is_no_plain_file_tells_nothing(volume: Path, kind: str) -> None:
    """Another's file is not read, and none of them is waited for."""
    ODD[kind](volume / "note.json")
    assert notes.read_json(volume / "note.json") == {}


def test_a_note_is_not_written_through_a_link(volume: Path) -> None:
    """Neither by its own name nor by that of the file that becomes it."""
    for name in ("note.json", ".note.json.new"):
        (volume / name).symlink_to(volume.parent / "made")
    notes.note(volume / "note.json", runs=7)
    assert not (volume.parent / "made").exists()
    assert notes.read_json(volume / "note.json")["runs"] == 7


def test_a_folder_of_somebody_elses_in_the_trash_is_left_alone(volume: Path) -> None:
    """Its name has no time."""
    (volume / TRASH / "not-ours").mkdir(parents=True)
    (volume / TRASH / "1700000000.000-abc").mkdir()
    assert [each.run for each in entries(volume)] == ["abc"]


def test_no_more_than_the_beginning_of_a_file_is_read(volume: Path) -> None:
    """A file of a few words can be one of terabytes."""
    with (volume / "large").open("wb") as file:
        file.truncate(2**40)
    assert len(read_plain(volume / "large")) == MOST
    with pytest.raises(NotPlainError):
        read_plain(volume)

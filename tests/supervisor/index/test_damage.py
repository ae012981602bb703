"""An index that is damaged or lost is built anew, and nothing ends the indexer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.supervisor.index.conftest import INDEX, indexing, runs_of
from tests.supervisor.processes import done, indexed


def part(pattern: str) -> Callable[[Path], Path]:
    """The first file of the index of a name."""
    return lambda index: min(index.glob(pattern))


def cut(find: Callable[[Path], Path]) -> Callable[[Path], None]:
    """Cut a file in half."""
    return lambda index: os.truncate(find(index), find(index).stat().st_size // 2)


def spoil(find: Callable[[Path], Path]) -> Callable[[Path], None]:
    """Overwrite the first half of a file."""

    def damage(index: Path) -> None:
        with find(index).open("r+b") as file:
            file.write(b"\x5a" * (find(index).stat().st_size // 2))

    return damage


def lose(find: Callable[[Path], Path]) -> Callable[[Path], None]:
    """Delete a file."""
    return lambda index: find(index).unlink()


def replace_lock(index: Path) -> None:
    """Put a folder in the place of the lock file."""
    (index / "LOCK").unlink()
    (index / "LOCK").mkdir()


def become_file(index: Path) -> None:
    """Put a file in the place of the folder."""
    shutil.rmtree(index)
    index.write_text("not a folder", encoding="utf-8")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "CURRENT empty": lambda index: os.truncate(index / "CURRENT", 0),
    "CURRENT points nowhere": lambda index: (index / "CURRENT").write_text("MANIFEST-999999\n", encoding="ascii"),
    "CURRENT spoilt": spoil(part("CURRENT")),
    "MANIFEST cut": cut(part("MANIFEST*")),
    "MANIFEST spoilt": spoil(part("MANIFEST*")),
    "MANIFEST missing": lose(part("MANIFEST*")),
    "table missing": lose(part("*.sst")),
    "table cut": cut(part("*.sst")),
    "table spoilt": spoil(part("*.sst")),
    "lock is a folder": replace_lock,
    "a file instead of the folder": become_file,
    "no permissions": lambda index: index.chmod(0),
    "no permissions of a file": lambda index: part("MANIFEST*")(index).chmod(0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_moved_aside_and_built_anew(copy: Path, damage: str) -> None:
    """However it is damaged, the indexer goes on, says so, and every run is found again."""
    DAMAGES[damage](copy / INDEX)
    with indexing(copy, limited=True) as indexer:
        indexer.await_indexed()
        (line,) = [line for line in indexer.lines if "is damaged" in line]
        assert "moved to index.damaged, and built anew from the runs" in line
        assert indexed(copy).keys() == runs_of(copy)
    assert (copy / ".aim/meta/index.damaged").exists()


@pytest.mark.parametrize("loss", [shutil.rmtree, lambda index: (index / "CURRENT").unlink()])
def test_a_lost_index_is_built_anew(copy: Path, loss: Callable[[Path], object]) -> None:
    """As after a restore that left it out."""
    loss(copy / INDEX)
    with indexing(copy) as indexer:
        indexer.await_indexed()
        assert indexed(copy).keys() == runs_of(copy)


def test_one_damaged_index_is_kept(copy: Path) -> None:
    """The next one replaces it, or a volume would fill up."""
    for _ in range(2):
        with indexing(copy) as indexer:
            indexer.await_indexed()
        os.truncate(copy / INDEX / "CURRENT", 0)
    with indexing(copy) as indexer:
        indexer.await_indexed()
    assert [path.name for path in (copy / ".aim/meta").glob("index?*")] == ["index.damaged"]


def test_an_index_that_a_reader_found_damaged_is_built_anew(copy: Path) -> None:
    """A reader leaves Aim's mark; the indexer reads all of the index then, and does not end."""
    with indexing(copy) as indexer:
        indexer.await_indexed()
        spoil(part("*.sst"))(copy / INDEX)
        (copy / INDEX / ".corrupted").touch()
        indexer.wait_for(lambda: any("is damaged" in line for line in indexer.lines))
        indexer.wait_for(lambda: indexed(copy).keys() == runs_of(copy))
        assert not (copy / INDEX / ".corrupted").exists()


@pytest.mark.parametrize("damage", [lose(part("*.sst")), cut(part("*.sst"))])
def test_a_table_that_is_lost_while_the_index_is_used_is_noticed(copy: Path, damage: Callable[[Path], object]) -> None:
    """Aim opens an index that has lost a table, and finds less."""
    with indexing(copy) as indexer:
        indexer.await_indexed()
        damage(copy / INDEX)
        indexer.wait_for(lambda: any("is damaged" in line for line in indexer.lines))
        indexer.wait_for(lambda: indexed(copy).keys() == runs_of(copy))


def test_a_mark_on_a_sound_index_is_removed(copy: Path) -> None:
    """A reader may have met it in the moment in which its files are replaced."""
    with indexing(copy) as indexer:
        indexer.await_indexed()
        (copy / INDEX / ".corrupted").touch()
        indexer.wait_for(lambda: not (copy / INDEX / ".corrupted").exists())
        assert not any("is damaged" in line for line in indexer.lines)


def test_an_index_that_is_deleted_while_it_is_used_is_built_anew(copy: Path) -> None:
    """Aim's own readers delete it when they cannot read it: a trainer with the volume is one."""
    with indexing(copy) as indexer:
        indexer.await_indexed()
        shutil.rmtree(copy / INDEX)
        indexer.wait_for(lambda: indexed(copy).keys() == runs_of(copy))
        assert indexer.is_alive()


def test_a_reader_of_a_damaged_index_marks_it_and_answers(copy: Path) -> None:
    """Aim deletes it: the indexer dies of that, and a search finds nothing any more."""
    os.truncate(copy / INDEX / "CURRENT", 0)
    before = {path.name for path in (copy / INDEX).iterdir() if not path.name.startswith("LOG")}
    assert set(done("read", copy, "--protected")["read"]) == runs_of(copy)
    after = {path.name for path in (copy / INDEX).iterdir() if not path.name.startswith("LOG")}
    assert after == before | {".corrupted"}

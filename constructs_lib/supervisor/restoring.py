"""Puts a restored copy in the place of the repository, which is kept; or brings one run back into a living one.

restic restores to a folder of the same volume first, so that what is left is to rename folders.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import time
from pathlib import Path

from . import Refusal, say
from .child import command_of
from .closing import close_runs
from .finishing import conclude
from .hashes import REMEDY, is_hash, runs_of
from .notes import BACKUP, read_json
from .patches.rocks import read_all
from .rows import bring_back
from .staging import RESTORING, SUMMARY, discard, listed_runs, missing_files, missing_files_of
from .trash import KINDS, put_sequences
from .underway import await_restore, begin, kept
from .volume import LOCK, TRACKING_LOCK, Hold, check_writable
from .writers import written_runs

_RESTORED = f"{BACKUP}/restored"

_LONGEST_SECONDS = 86400
"""A restore of one run takes less."""


def restored_folder(run: str | None) -> str:
    """Where restic restores one run to, or all: a folder with `.aim` in it."""
    return f"{_RESTORED}-{run}" if run else _RESTORED


def admit(options: argparse.Namespace) -> None:
    """Remove what an earlier restore has left, and refuse early what would be refused at the end.

    Raises:
        Refusal: a server runs on the volume, a trainer writes to it, or the run that is to be brought back is there.
    """
    volume = Path(options.repository)
    check_writable(volume)
    _await_other(volume)
    if options.run:
        _check_missing(volume, options.run)
    else:
        holds = _holds(volume)
        for hold in holds:
            _take(hold)
        _check_unwritten(volume)
        begin(volume)
    _discard_former(volume, options.run)


def _await_other(volume: Path) -> None:
    """A whole restore that goes on would lose what it has downloaded, or move a run aside that has just come back."""
    asyncio.run(await_restore(volume, lambda _: None))


def _discard_former(volume: Path, run: str | None) -> None:
    """Remove what a former restore has left, and what killed ones of other runs have, which may go on for a day."""
    for folder in (volume / BACKUP).glob(f"{Path(_RESTORED).name}*"):
        with contextlib.suppress(FileNotFoundError):
            if folder == volume / restored_folder(run) or time.time() - folder.stat().st_mtime > _LONGEST_SECONDS:
                discard(folder)


def restore(_: argparse.Namespace) -> None:
    """Put the restored copy in place, in the interpreter that Aim is installed in."""
    command = command_of("replace")
    os.execv(command[0], command)


def replace(options: argparse.Namespace) -> None:
    """Put the restored copy, or one run of it, in place.

    Raises:
        Refusal: there is none, a server runs on the volume, a trainer writes to it, or the run is there already.
    """
    volume = Path(options.repository)
    copy = volume / restored_folder(options.run)
    summary = read_json(copy / SUMMARY)
    if not summary or not (copy / ".aim/run_metadata.sqlite").exists():
        raise Refusal(f"{copy} has no whole copy of a repository in it: is the snapshot one of this backup's?")
    if options.run:
        _await_other(volume)
        _replace_run(volume, copy, options.run, summary["made"])
    else:
        with kept(volume):
            _replace_repository(volume, copy, summary["made"], summary["runs"])


def _replace_repository(volume: Path, copy: Path, made: float, expected: int) -> None:
    # held until this process ends
    holds = _holds(volume)
    for hold in holds:
        _take(hold)
    found = len(runs_of(copy / ".aim"))
    if found != expected:
        raise Refusal(f"{found} runs were restored, and {expected} were copied: restore another snapshot")
    missing = missing_files(copy)
    if missing:
        raise Refusal(f"{missing} files are not in the snapshot, which restic could not read: restore another snapshot")
    closed = close_runs(copy, made)
    _check_unwritten(volume)
    kept = _exchange(volume, copy)
    discard(copy)
    conclude(f"restored {found} runs, {closed} of which were in progress and are closed; {kept}")


def _check_unwritten(volume: Path) -> None:
    """A trainer finds the files of its run by their path: it would write into the restored run, and ruin both."""
    runs = written_runs(volume / ".aim")
    if runs:
        names = ", ".join(runs[:5]) + (" ..." if len(runs) > 5 else "")
        raise Refusal(f"trainers write to {len(runs)} runs over the volume ({names}): end them first, or restore INTO=")


def _exchange(volume: Path, copy: Path) -> str:
    """Move the repository aside, and the copy in; says what has become of the former."""
    repository, kept = volume / ".aim", "there was no repository before"
    (volume / RESTORING).touch()
    if repository.exists():
        aside = volume / time.strftime(".aim-before-restore-%Y%m%d-%H%M%S", time.gmtime())
        repository.rename(aside)
        kept = f"the former repository is kept in {aside}: remove it when nothing of it is wanted"
    (copy / ".aim").rename(repository)
    (volume / RESTORING).unlink()
    return kept


def _replace_run(volume: Path, copy: Path, run: str, made: float) -> None:
    _check_missing(volume, run)
    if not (copy / ".aim/meta/chunks" / run).exists():
        raise Refusal(f"the copy has no run {run}: try an older snapshot")
    _check_whole(copy, run)
    closed = close_runs(copy, made)
    if run in listed_runs(copy / ".aim"):
        bring_back(copy / ".aim/run_metadata.sqlite", volume / ".aim/run_metadata.sqlite", run)
    _move_run(volume, copy, run)
    discard(copy)
    ended = "; it was in progress when it was copied, and is closed" if closed else ""
    conclude(f"brought run {run} back{ended}")


def _check_whole(copy: Path, run: str) -> None:
    missing = missing_files_of(copy, run)
    if missing:
        raise Refusal(f"{missing} files of run {run} are not in the snapshot, which restic could not read: try another")
    stores = [copy / ".aim" / kind / "chunks" / run for kind in KINDS]
    try:
        for store in filter(Path.exists, stores):
            read_all(store)
    except Exception as error:  # noqa: BLE001  # whatever RocksDB raises for files that are missing or damaged
        raise Refusal(f"run {run} cannot be read in this copy: {error}; try another snapshot") from None


def _move_run(volume: Path, copy: Path, run: str) -> None:
    """Move the stores of a run that is not there; a restore that was interrupted may have moved its sequences."""
    rest = volume / ".aim/seqs/chunks" / run
    if rest.exists():
        put_sequences(volume, rest)
    for kind in KINDS:
        folder = copy / ".aim" / kind / "chunks" / run
        if folder.exists():
            folder.rename(volume / ".aim" / kind / "chunks" / run)


def _check_missing(volume: Path, run: str) -> None:
    if not is_hash(run):
        raise Refusal(f"{run!r} is no hash of a run: {REMEDY}")
    if not (volume / ".aim/VERSION").exists():
        raise Refusal(f"{volume / '.aim'} is no Aim repository: restore the whole of it, without a run")
    if (volume / ".aim/meta/chunks" / run).exists():
        raise Refusal(f"run {run} is there: nothing is overwritten; delete it in the UI first")


def _holds(volume: Path) -> list[Hold]:
    return [Hold(volume / name) for name in (LOCK, TRACKING_LOCK)]


def _take(hold: Hold) -> None:
    if not hold.take_now():
        remedy = "scale its Deployment to 0, or write server.suspend; and restore again"
        raise Refusal(f"the server on host {hold.holder} holds {hold.path}: {remedy}")
    say(f"holds {hold.path}: a server that starts waits")

"""What a chore is told."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import time
from pathlib import Path

from .. import Refusal
from ..hashes import REMEDY, is_hash, runs_of
from ..trash import KINDS
from ..writers import has_writer

_YES, _NO = {"yes", "true", "1"}, {"", "no", "false", "0"}


@dataclasses.dataclass(frozen=True)
class Task:
    """What a chore is told.

    Attributes:
        volume: with the repository.
        apply: do it; otherwise say only what would be done.
        older_than: seconds without a change, after which a run, or what is left of one, is dealt with.
        runs: hashes of runs that it is about; none for all.
    """

    volume: Path
    apply: bool
    older_than: float
    runs: tuple[str, ...]

    @property
    def repository(self) -> Path:
        """The folder `.aim`."""
        return self.volume / ".aim"

    @property
    def names(self) -> list[str]:
        """All runs of the repository."""
        return sorted(runs_of(self.repository))

    @property
    def chosen(self) -> list[str]:
        """Runs of the repository that the chore is about.

        Raises:
            Refusal: a run that is named is not there, and nothing said of it would be true.
        """
        names = self.names
        for run in self.runs:
            if run not in names:
                remedy = "write one that the UI lists; the chore undelete lists those that are deleted"
                raise Refusal(f"RUN: {run!r} is no run of the repository: {remedy}")
        return [*self.runs] or names

    def would(self, done: str, would: str) -> str:
        """What a line says: that something is done, or would be."""
        return done if self.apply else f"would {would}"

    def concluded(self, text: str) -> str:
        """What the last line says."""
        return text if self.apply else f"dry run: {text}; to do it, set APPLY=yes"

    def is_old(self, path: Path) -> bool:
        """Whether a file or folder is there, and has not changed for long."""
        try:
            return time.time() - path.stat().st_mtime > self.older_than
        except FileNotFoundError:  # a trainer has removed its lock meanwhile, or the server a run
            return False

    def changed(self, run: str) -> float:
        """When a run's stores have changed last, in seconds since the epoch.

        Raises:
            FileNotFoundError: the run was deleted meanwhile.
        """
        stores = [self.repository / kind / "chunks" / run for kind in KINDS]
        files = [file for store in stores if store.exists() for file in (store, *store.iterdir())]
        if not files:
            raise FileNotFoundError(run)
        return max(file.stat().st_mtime for file in files)

    def has_writer(self, run: str) -> bool:
        """Whether a process has a run open for writing."""
        return has_writer(self.repository, run)


def task_of(options: argparse.Namespace) -> Task:
    """Make the task of a chore; the variables APPLY and RUN of the environment win over its options.

    Raises:
        Refusal: a variable that cannot be, or a volume without a repository.
    """
    volume, asked = Path(options.repository), os.environ.get("APPLY", "").lower()
    if asked not in _YES | _NO:
        raise Refusal(f"APPLY: {asked!r}: write yes, or leave it out")
    runs = tuple(re.split(r"[,\s]+", os.environ["RUN"].strip())) if os.environ.get("RUN", "").strip() else ()
    for run in runs:
        if not is_hash(run):
            raise Refusal(f"RUN: {run!r} is no hash of a run: {REMEDY}")
    if not (volume / ".aim/VERSION").exists():
        raise Refusal(f"{volume / '.aim'} is no Aim repository: a server makes it when it starts")
    return Task(volume, asked in _YES if asked else options.apply, options.older_than, runs)

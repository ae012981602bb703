"""Keeps Aim within its repository, whatever is sent as the hash of a run.

Wrong in Aim 3.29: the hash of a run is joined to paths without a look at it. `POST /api/runs/delete-batch/` with
`["../.."]` so deletes the whole repository, and with a longer path any folder that the pod can write to. The tracking
server has the same hole (aimhubio/aim#3424, PR #3327). All folders of runs are reached through the methods below: the
check in them holds for every request of both servers. Names that Aim finds in its own folders always pass.
"""

from __future__ import annotations

import functools
from typing import Any, Callable

from . import check_version

TREES = ("meta", "seqs")
"""The folders of a repository in which Aim keeps runs."""


def restrict_run_hashes() -> None:
    """Make Aim raise ValueError for the hash of a run, or the name of a tree, that leads to another folder."""
    check_version()
    from aim.sdk import utils
    from aim.sdk.lock_manager import LockManager
    from aim.sdk.repo import Repo

    for owner, names in (
        (Repo, ("request_props", "request_run_lock", "_delete_local_run_data", "_close_run")),
        (LockManager, ("get_run_lock_info", "get_run_lock", "release_locks")),
        (utils, ("backup_run", "restore_run_backup")),  # functions, whose first argument is the repository
    ):
        for name in names:
            setattr(owner, name, _with_run_hash(getattr(owner, name)))
    for name in ("request_container", "_get_index_container"):
        setattr(Repo, name, _with_tree(getattr(Repo, name)))


def _with_run_hash(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def checked(owner: Any, run_hash: Any, *arguments: Any, **options: Any) -> Any:
        _check_run_hash(run_hash)
        return function(owner, run_hash, *arguments, **options)

    return checked


def _with_tree(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def checked(repository: Any, name: Any, *arguments: Any, **options: Any) -> Any:
        if name not in TREES:
            raise ValueError(f"{name!r} is none of the trees of a repository, {' and '.join(TREES)}")
        sub = arguments[0] if arguments else options.get("sub")
        if isinstance(sub, str):
            _check_run_hash(sub)
        return function(repository, name, *arguments, **options)

    return checked


def _check_run_hash(value: Any) -> None:
    if not isinstance(value, str) or value in ("", ".", "..") or "/" in value or "\0" in value:
        raise ValueError(f"{value!r} is no hash of a run: it leads to another folder")

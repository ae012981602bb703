"""Command lines of restic, which copies, deduplicates, encrypts and forgets; nothing of that is written here.

https://restic.readthedocs.io, from version 0.14 on.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from constructs_lib.errors import check_whole, require
from constructs_lib.options import Count, check_declared
from constructs_lib.pods.pod import MOUNT_PATH
from constructs_lib.supervisor.staging import COPY, FILES, SUMMARY
from constructs_lib.supervisor.underway import TOUCH_SECONDS, UNDERWAY

RESTIC_IMAGE = "docker.io/restic/restic:0.18.1"

TAG = "aim"
"""Of the snapshots that are made here: a repository of restic's may have others in it, which are left alone."""

# PID 1 of a container has no default signal handlers: a shell in the foreground of restic would ignore the SIGTERM of a
# deadline, and restic would be killed without removing its lock
_PRELUDE = """\
set -eu
# without the newline that ends a file, as restic itself reads a file of it
RESTIC_PASSWORD=$(printf %s "$RESTIC_PASSWORD")
child=
run() {{ restic {flags} "$@" & child=$!; wait "$child"; }}
trap '[ -z "$child" ] || {{ kill -TERM "$child"; wait "$child"; }}; exit 143' TERM
"""

_BACKUP = """\
# makes the repository where there is none; one that cannot be opened is never replaced
{{ run cat config 2>&1 >/dev/null || echo "$?" >"$TMPDIR/failed"; }} | tee "$TMPDIR/reason" >&2
if [ -e "$TMPDIR/failed" ]; then
    made=
    case $(cat "$TMPDIR/failed") in
    1 | 10) # before restic 0.17, 1 whatever is wrong; 10 where there is none
        echo "cannot open a repository: trying to make one"
        run init && made=yes
        ;;
    esac
    [ "$made" ] || {{
        echo "cannot open the repository, or make it: $(tr '\\n' ' ' <"$TMPDIR/reason")" >&2
        exit 1
    }}
fi
run unlock
# an empty repository in the place of a lost one: its copies would be the newest, and push those of the runs out
if grep -q '"runs": 0,' {summary}; then
    case $(run --quiet snapshots --no-lock --host {name} --tag {tag} --json) in
    *'"id"'*)
        echo "there are no runs, and the target has copies of runs: restore them; nothing is copied before" >&2
        exit 1
        ;;
    esac
fi
cd {copy}
# a copy that lacks a file may be the only one: kept, but neither as the newest nor in the place of a whole one
run backup --host {name} --tag {tag} --ignore-inode --ignore-ctime . || {{
    code=$?
    [ "$code" -ne 3 ] || run tag --host {name} --tag {tag} --set {tag}-incomplete latest
    exit "$code"
}}
# a killed restic leaves a lock, which is stale after half an hour; a copy can be made beside it, but no other forgotten
waited=0
while [ -n "$(run --quiet list locks --no-lock)" ] && [ "$waited" -lt 40 ]; do
    [ "$waited" -gt 0 ] || echo "copied; waiting for another restic to end, or for the lock of a killed one to be stale"
    sleep 60 & child=$!; wait "$child"
    run --quiet unlock
    waited=$((waited + 1))
done
run forget --host {name} --tag {tag} --tag {tag}-incomplete --group-by host,tags {keep} --prune
# another part of the data each time, so that all of it is read back by and by
number=$(sed -n 's/.*"number": \\([0-9]*\\).*/\\1/p' {summary})
run check --read-data-subset "$((number % {parts} + 1))/{parts}"
"""

_OF_ONE_RUN = (
    *(f"/{SUMMARY}", f"/{FILES}", "/.aim/VERSION", "/.aim/run_metadata.sqlite"),
    *("/.aim/seqs/chunks/{run}", "/.aim/meta/chunks/{run}", "/.aim/meta/progress/{run}"),
)

# what a killed `forget` has left locked can be read all the same; who asks for a copy that is not there sees which are
_RESTORE = """\
run --quiet snapshots --no-lock --host {name} --tag {tag} --tag {tag}-incomplete --compact
run restore --no-lock --host {name} --tag {tag} --target {target} {only}{snapshot}
"""

# half of a copy takes the room that trainers need, until the next restore
_REMOVE_HALF = """\
beat= file=
trap 'code=$?; [ -z "$beat" ] || kill "$beat"; [ "$code" -eq 0 ] || rm -rf "$file" {target}; exit "$code"' EXIT
"""

# a server that starts meanwhile waits for as long as the file is touched, and for no restore that has failed
_TOUCH = """\
file={file}
while sleep {seconds}; do touch "$file"; done &
beat=$!
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Which copies to keep: all that one of these rules names; 0 turns a rule off."""

    last: Count = 3
    """Number of newest copies to keep, however old. Default: 3."""
    daily: Count = 7
    """Number of days to keep the newest copy of. Default: 7."""
    weekly: Count = 5
    """Number of weeks to keep the newest copy of. Default: 5."""
    monthly: Count = 12
    """Number of months to keep the newest copy of. Default: 12."""

    def check(self) -> None:
        """Reject negative numbers, and a retention that keeps no copy."""
        check_declared(self)
        require(any(self._numbers.values()), "last", self.last, "keep at least one copy, such as last: 3")

    @property
    def flags(self) -> list[str]:
        """Options of `restic forget`."""
        return [word for kind, number in self._numbers.items() if number for word in (f"--keep-{kind}", str(number))]

    @property
    def _numbers(self) -> dict[str, int]:
        return {"last": self.last, "daily": self.daily, "weekly": self.weekly, "monthly": self.monthly}


def backup_script(*, name: str, flags: Sequence[str], keep: Retention, percent: int) -> str:
    """Make the script that copies what is staged, forgets old copies, and reads a share of the data back.

    Args:
        name: of the instance, which its copies are found by.
        flags: of every command, such as those of a certificate.
        keep: which copies are kept.
        percent: share of the data that is read back; all of it is, in as many copies as it takes.
    """
    check_whole("check_percent", percent, low=1, high=100)
    copy = f"{MOUNT_PATH}/{COPY}"
    words = {"copy": shlex.quote(copy), "summary": shlex.quote(f"{copy}/{SUMMARY}"), "parts": -(-100 // percent)}
    return _prelude(flags) + _BACKUP.format(name=name, tag=TAG, keep=shlex.join(keep.flags), **words)


def restore_script(*, name: str, flags: Sequence[str], snapshot: str, target: str, run: str | None = None) -> str:
    """Make the script that brings a copy back.

    Args:
        name: of the instance.
        flags: of every command.
        snapshot: restic's id of it, or `latest`.
        target: folder to restore into.
        run: hash of the only run to restore. Default: all.
    """
    parts = [part.format(run=run) for part in _OF_ONE_RUN] if run else []
    only = "".join(f"--include {part} " for part in parts)
    words = {"name": name, "tag": TAG, "target": shlex.quote(target), "snapshot": shlex.quote(snapshot), "only": only}
    begin = _on_the_volume(words["target"], touches=not run) if target.startswith(f"{MOUNT_PATH}/") else ""
    return _prelude(flags) + begin + _RESTORE.format(**words)


def _on_the_volume(target: str, *, touches: bool) -> str:
    touch = _TOUCH.format(file=shlex.quote(f"{MOUNT_PATH}/{UNDERWAY}"), seconds=TOUCH_SECONDS)
    return _REMOVE_HALF.format(target=target) + (touch if touches else "")


def _prelude(flags: Sequence[str]) -> str:
    return _PRELUDE.format(flags=shlex.join(flags)).replace("restic  ", "restic ")

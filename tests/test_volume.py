"""What the supervisor asks of the volume, beyond what the tests of the whole pod show."""

from __future__ import annotations

from pathlib import Path

from constructs_lib.supervisor.volume import check_writable


def test_a_file_that_is_gone_by_now_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """SQLite's journals come and go while others write; a link to nowhere is listed as they are, and not there."""
    (tmp_path / ".aim").mkdir()
    (tmp_path / ".aim/run_metadata.sqlite-journal").symlink_to("gone")
    check_writable(tmp_path)

"""The real restic: that of the default image, built once from its Go module, and the oldest one that is supported."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.harness.go_tools import built
from tests.harness.sandbox import skip


def newest() -> Path:
    """The version of the default image."""
    return built(Path(__file__).parent, "github.com/restic/restic/cmd/restic")


def oldest() -> Path:
    """Debian's, 0.14."""
    found = shutil.which("restic", path="/usr/bin")
    return Path(found) if found else skip("no /usr/bin/restic: Debian has it")

"""Runs every measurement."""

from __future__ import annotations

import os

from bench import backup, login, recording, restart, scale, serving, synthesis

if not os.environ.get("RUNS"):  # otherwise, a store of so many runs is all that is asked for
    synthesis.main()
    serving.main()
    recording.main()
    login.main()
scale.main()
backup.main()
if os.environ.get("KUBECONFIG"):
    restart.main()
else:
    print("\nrestart: not measured, as KUBECONFIG names no cluster; `make cluster` starts one")

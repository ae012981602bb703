"""Runs every measurement."""

from __future__ import annotations

import os

from bench import login, recording, restart, serving, synthesis

synthesis.main()
serving.main()
recording.main()
login.main()
if os.environ.get("KUBECONFIG"):
    restart.main()
else:
    print("\nrestart: not measured, as KUBECONFIG names no cluster; `make cluster` starts one")

"""Serves a repository with Aim's web application: `python aim_web.py FOLDER PORT [--bare] ...`.

Runs in Aim's environment. `--bare` is `aim up` as it is; otherwise, the application is wrapped as in the pod.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import uvicorn
from aim.cli.utils import build_db_upgrade_command, exec_cmd
from aim.web.configs import AIM_UI_BASE_PATH, AIM_UI_MOUNTED_REPO_PATH


def main() -> None:
    """Prepare the database as `aim up` does, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repository")
    parser.add_argument("port", type=int)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--base-path", default="")
    parser.add_argument("--allow-host", action="append", default=[])
    options = parser.parse_args()
    os.environ[AIM_UI_MOUNTED_REPO_PATH], os.environ[AIM_UI_BASE_PATH] = options.repository, options.base_path
    exec_cmd(build_db_upgrade_command(), stream_output=True)
    uvicorn.run(_application(options), host="127.0.0.1", port=options.port, log_level="info")


def _application(options: argparse.Namespace) -> Any:
    if options.bare:
        from aim.web.run import app

        return app
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "constructs_lib"))
    from supervisor.web import web_application

    return web_application(options)


if __name__ == "__main__":
    main()

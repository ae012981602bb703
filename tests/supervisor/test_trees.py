"""Trees of runs and of requests: what would cost all memory is left out or refused, what Aim itself stores is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.aim_environment import PYTHON, ROOT
from tests.supervisor.tracking.conftest import HERE, TrackingServer, run, serving

LIBRARY = {"PYTHONPATH": str(ROOT / "constructs_lib")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """The tracking server of the supervisor."""
    folder = tmp_path_factory.mktemp("trees")
    command = [PYTHON, "-m", "supervisor", "accept", "--repository", folder / "volume", "--host", "127.0.0.1"]
    with serving(folder, *command, **LIBRARY) as server:
        yield server


_STORED = """
import json, sys
import aim

if sys.argv[1] == "bounded":
    from supervisor.patches.trees import bound_stored_trees
    bound_stored_trees()
run = aim.Run(repo=aim.Repo(sys.argv[2], init=True), system_tracking_interval=None)
nested = [1]
for _ in range(20):
    nested = {"in": [0, nested, {"empty": {}}]}
run["plain"] = plain = {"dense": list(range(1000)), "nested": nested, "empty": [], "none": None}
run["overwritten"] = list(range(10))
run["overwritten"] = ["a", "b"]
run["deleted"] = list(range(10))
tree = run.meta_run_attrs_tree
del tree["deleted", 4]
for index, value in ((10, "ten"), (0, [])):
    tree["deleted", index] = value
legitimate = tree.collect() == {
    **{name: value for name, value in tree.collect().items() if name.startswith("__")},
    "plain": plain, "overwritten": ["a", "b"], "deleted": [[], 1, 2, 3, None, 5, 6, 7, 8, 9, "ten"]
}

def damage(path, value):
    before = tree.collect()
    tree[path] = value
    try:
        harmless = tree.collect() == before
    except Exception:
        harmless = False
    finally:
        del tree[path]
    return harmless


tree["list"], tree["leaf"] = [], 1
harmless = {
    "sparse": damage(("list", 10**5), 1),
    "within it": damage(("list", 10**5, "x"), 1),
    "negative": damage(("list", -1), 1),
    "named": damage(("list", "x"), 1),
    "below a leaf": damage(("leaf", "x"), 1),
    "deep": damage(("deep",) * 150, 1),
}
print(json.dumps([legitimate, harmless]))
"""


@pytest.mark.parametrize("mode", ["bare", "bounded"])
def test_a_value_that_costs_too_much_is_left_out_and_all_else_is_read(tmp_path: Path, mode: str) -> None:
    """Of what a pod stores that mounts the volume; bare Aim fails at it, or fills memory with it."""
    output = run(PYTHON, "-c", _STORED, mode, tmp_path, folder=tmp_path, **LIBRARY)
    legitimate, harmless = json.loads(output.splitlines()[-1])
    assert legitimate
    assert harmless == dict.fromkeys(harmless, mode == "bounded")


_SENT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import aim
from aim.ext.transport import message_utils
from aim.storage.encoding import encode, encode_path
from aim.storage.utils import ArrayFlag, ObjectFlag
import attacks
from attacks import Intruder

intruder = Intruder(sys.argv[2])
intruder.get("StructuredRun", hash_="sparse", read_only=False, created_at=None)
tree = intruder.tree(sub="sparse")
at = ["meta", "chunks", "sparse", "attrs"]
said = {}


def send(name, *arguments):
    answer = intruder.send(tree, "set", *arguments)
    said[name] = answer.json()["exception"]["args"] if answer.status_code == 400 else answer.status_code


send("attrs", at, {"ok": 1}, True)
send("list", [*at, "a"], [], True)
send("element", [*at, "a", 10**5], 1, True)
read = intruder.ask(tree, "collect", at, True, False)
send("long", [*at, *["a"] * 60], 1, True)
nested = 1
for _ in range(60):
    nested = {"a": nested}
send("deep", at, nested, True)
pairs = [((), ObjectFlag), (("name",), ArrayFlag), (("name", 10**5), 1)]
packed = message_utils.pack_args((encode_path(path), encode(value)) for path, value in pairs)
attacks._encoded = lambda _: __import__("base64").b64encode(packed).decode()
said["bomb"] = intruder.request("TreeView").json()["exception"]["args"]
attacks._encoded = lambda _: __import__("base64").b64encode(packed[:-1]).decode()
said["cut"] = intruder.request("TreeView").json()["exception"]["args"]

run = aim.Run(repo=f"aim://{sys.argv[2]}", system_tracking_interval=None)
nested = [1]
for _ in range(20):
    nested = {"in": [0, nested]}
run["dense"], run["nested"] = list(range(1000)), nested
kept = run["dense"] == list(range(1000)) and run["nested"] == nested
run.close()
print(json.dumps([said, read, kept]))
"""


def test_a_request_that_costs_too_much_is_refused_and_lists_are_not(server: TrackingServer) -> None:
    """Before it is decoded; what other clients store of a list is read, without the elements that are out of place."""
    output = run(PYTHON, "-c", _SENT, HERE, server.address, folder=server.folder)
    said, read, kept = json.loads(output.splitlines()[-1])
    assert read == {"ok": 1, "a": []}
    assert kept
    assert "TreeView.set" in said["long"]
    assert "a path of more than 50 keys" in said["deep"]
    assert "the index '100000' of a list of 0" in said["bomb"]
    assert "ends within a value" in said["cut"]
    assert any("the tracking server refuses" in line and "(size;" in line for line in server.logs)


_COPIES = """
import json, sys
from aim.ext.transport import message_utils
from supervisor.patches.trees import unpack


class Counted(bytes):
    copied = 0

    def __getitem__(self, key):
        part = super().__getitem__(key)
        Counted.copied += len(part)
        return Counted(part)


nodes = [(b"key", b"value")] * 100
packed = Counted(message_utils.pack_args(iter(nodes)))
copied = {}
for name, function in (("bare", message_utils.unpack_args), ("restricted", unpack)):
    Counted.copied = 0
    assert list(function(packed)) == nodes
    copied[name] = Counted.copied / len(packed)
print(json.dumps(copied))
"""


def test_a_request_is_unpacked_without_a_copy_of_the_rest_for_each_value(tmp_path: Path) -> None:
    """The server's event loop, and so each trainer, waits for it: Aim's own copies it once a value."""
    copied = json.loads(run(PYTHON, "-c", _COPIES, folder=tmp_path, **LIBRARY))
    assert copied["restricted"] <= 1
    assert copied["bare"] > 100

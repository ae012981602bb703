"""Takes the short ways of searches, and those of Aim beside them; prints both as JSON.

Runs in Aim's environment, with the package `supervisor` on its path.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

TREES, STORES = 3000, 200


def main(folder: Path) -> None:
    """Look at everything."""
    seen = {**encode(), **read(folder / "series"), "threads": [most_threads(folder / "store")]}
    importlib.import_module("supervisor.patches.stores").open_stores_in_one_thread()
    seen["threads"].append(most_threads(folder / "store"))
    print(json.dumps(seen))


def encode() -> dict[str, Any]:
    """Trees that do not come out as Aim encodes them; and what becomes of those that cannot be encoded."""
    from aim.storage.treeutils import encode_tree
    from aim.web.api.runs import utils

    numpy = importlib.import_module("numpy")
    messages = importlib.import_module("supervisor.patches.messages")
    aim, dice = utils.collect_streamable_data, random.Random(1)
    trees = [tree(dice, depth=0) for _ in range(TREES)]
    different = [repr(each) for each in trees if messages.encoded(each) != aim(encode_tree(each))]
    messages.speed_up_messages()
    odd = [2**70, {1.5: 2}, {True: 1}, numpy.float64(3), {"a": [object()]}, "\ud800", {None: 1}]
    ways: list[Callable[[Any], bytes]] = [
        lambda each: aim(encode_tree(each)),
        lambda each: utils.collect_streamable_data(utils.encode_tree(each)),
    ]
    return {"trees": len(trees), "different": different, "odd": [[told(way, each) for each in odd] for way in ways]}


def tree(dice: random.Random, *, depth: int) -> Any:
    """Anything that JSON has, bytes and tuples."""
    simple: list[Any] = [None, True, False, 1, 0, -1, 2**63 - 1, -(2**63), 1.5, float("nan"), float("inf"), -0.0]
    simple += ["", "a", "ü€😀", "x" * 300, b"", b"\0\xfe", {}, [], ()]
    kind = dice.choice(["simple", "list", "tuple", "dict", "dict"]) if depth < 4 else "simple"
    if kind == "simple":
        return dice.choice(simple)
    below = [tree(dice, depth=depth + 1) for _ in range(dice.randrange(4))]
    if kind == "dict":
        return {dice.choice(["", "a", "ü", "k", 0, 1, -1, 2**40]): each for each in below}
    return below if kind == "list" else tuple(below)


def told(way: Callable[[Any], bytes], value: Any) -> str:
    """The bytes, or the error, as text."""
    try:
        return repr(way(value))
    except Exception as error:  # noqa: BLE001  # whatever Aim raises is what is compared
        return repr(error)


def read(folder: Path) -> dict[str, Any]:
    """Series as Aim reads them, and by the short way; and how often a tree is decoded for that."""
    from aim.storage import treeutils
    from aim.storage.rockscontainer import RocksContainer

    series = importlib.import_module("supervisor.patches.series")
    root, decoded, decode = RocksContainer(str(folder)).tree(), [], treeutils.iter_decode_tree

    def counted(*arguments: Any, **options: Any) -> Any:
        decoded.append(arguments)
        return decode(*arguments, **options)

    treeutils.iter_decode_tree = counted
    found, counts = {}, {}
    for name, values in STORED.items():
        array = root.subtree(name).array()
        if values:
            array.allocate()
        for index, value in values.items():
            root[name, index] = value
        by_aim = list(array.values())
        decoded.clear()
        found[name] = by_aim, list(series._Series(array).values())
        counts[name] = len(decoded)
    trees = {name: counts[name] for name in ("numbers", "one text")}
    return {"series": found, "trees decoded": trees, "half a point": half_a_point(series, root)}


def half_a_point(series: Any, root: Any) -> list[Any]:
    """What a sample of a series has that has half a point only, of which the parameters know."""
    from aim.sdk.sequence import SequenceV2Data

    root["half", "val", 7] = 1.0
    series.speed_up_series()
    columns = [("val", "float64"), ("epoch", "int64")]
    steps, found = SequenceV2Data({"last_step": 3}, root.subtree("half"), columns=columns).sample(50).numpy()
    return [steps.tolist(), [column.tolist() for column in found]]


STORED: dict[str, dict[int, Any]] = {
    "numbers": {5: 1.5, -3: 2, 2**62: -1, 0: 0.0},
    "one text": {1: 1.0, 2: "text", 3: 2.0},
    "a list": {1: 1.0, 2: [1, 2], 3: 2.0},
    "nothing": {},
}
"""By index; an index may be a hash, of either sign."""


def most_threads(folder: Path) -> int:
    """How many threads there are while a store is opened again and again, besides those of before."""
    import aimrocks

    aimrocks.DB(str(folder), aimrocks.Options(create_if_missing=True))  # closed when it is collected
    tasks, seen, done = Path("/proc/self/task"), [0], threading.Event()

    def sample() -> None:
        while not done.is_set():
            seen.append(len(list(tasks.iterdir())))

    sampling = threading.Thread(target=sample)
    sampling.start()
    before = len(list(tasks.iterdir()))
    for _ in range(STORES):
        aimrocks.DB(str(folder), aimrocks.Options(max_open_files=-1), read_only=True)
    done.set()
    sampling.join()
    return max(seen) - before


if __name__ == "__main__":
    main(Path(sys.argv[1]))

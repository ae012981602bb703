"""One store has one server, in the whole app: two indexers on one store destroy its index."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from constructs import Construct

from constructs_lib.errors import OptionError


def claim_stores(scope: Construct, id: str, stores: Sequence[str]) -> None:
    """Take stores for the server `id`, or refuse it because another one has taken them.

    The tree's root keeps the list, as children: one look-up a store, however many servers there are.
    """
    root = scope.node.root
    markers = {store: f"store-{hashlib.sha256(store.encode()).hexdigest()}" for store in stores}
    for store, marker in markers.items():
        taken = root.node.try_find_child(marker)
        if taken:
            remedy = f"give it a store of its own: {taken.node.metadata[0].data} serves this one already"
            raise OptionError("storage", store, remedy)
    for marker in markers.values():
        Construct(root, marker).node.add_metadata("server", f"{scope.node.path}/{id}")  # type: ignore[arg-type]

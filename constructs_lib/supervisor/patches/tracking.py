"""Lets Aim's tracking server take runs, and nothing else.

Wrong in Aim 3.29:

* The server calls, reads or sets any attribute of a resource that a request names: `Repo.rm` deletes each repository
  that the pod can write to (aimhubio/aim#3412, #3422). Here a resource has the instructions of Aim's own client only.
* Names, hashes and patterns in arguments are joined to paths as they are, so they lead to files outside of the
  repository (aimhubio/aim#3424, PR #3327) and, as `*`, to those of all runs (#3423). Here each argument is checked.
* A request chooses the name of its new resource, and so replaces or releases one of another client. Here it cannot.
* A client has any number of resources, and keeps them for ever if it never sends a heartbeat; one that says that a run
  is alive has two threads. Here they are bounded, and each client's are released when it is not heard of.
* Every web page may send requests and open WebSockets: see `tracking_requests`.

Aim's client has some instructions that are refused all the same: `_backup_run` and `_restore_run` (no command of Aim
sends them, and the second deletes a run before it looks for the backup); `_recreate_index`, `finalize` and trees of
the index (a client that holds the index open stops the indexer of the web server); `iterlevel` (Aim cannot encode its
answer).
"""

from __future__ import annotations

import functools
import re
import reprlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Callable

from . import check_version
from .refusals import Refusals
from .runs import TREES, restrict_run_hashes
from .trees import DEEPEST_SENT, UnboundedError, bound_stored_trees, decode_request, unpack

Rule = Callable[[Any], bool]

REFUSALS = Refusals("tracking server")

IDENTIFIER = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The UUIDs that Aim's client gives itself, and the server to its resources."""

_RUN = "[0-9A-Za-z_-]{1,200}"
_MOST_RESOURCES = {"RunHeartbeat": (200, 2_000)}
_MOST_OTHERS = (5_000, 20_000)
"""Resources of a type, or of all other types together: of one client, and of all."""

_CHECK_IN = rf"{_RUN}-[0-9]{{16,}}-[a-z_]+-[0-9]+\.[0-9]{{2}}-[0-9]{{5,}}"
"""Name of a file by which a run says that it is alive (`CheckIn.generate_filename` of `aim.sdk.reporter`)."""


@dataclass(frozen=True)
class _Resource:
    """What Aim's own client asks of one type of resource.

    Attributes:
        arguments: of the request for one, each with its rule; others are dropped, as Aim does.
        methods: with a rule for each argument.
        readable: names of attributes.
        writable: names of attributes, each with a rule for its value.
    """

    arguments: dict[str, Rule] = field(default_factory=dict)
    methods: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    readable: frozenset[str] = frozenset()
    writable: dict[str, Rule] = field(default_factory=dict)


def _text(pattern: str) -> Rule:
    """Accept text that matches a pattern as a whole."""
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and bool(compiled.fullmatch(value))


def _either(*rules: Rule) -> Rule:
    return lambda value: any(rule(value) for rule in rules)


def _anything(_: Any) -> bool:
    """Accept a value that Aim stores: decoding it makes plain values and objects of Aim's, and runs nothing."""
    return True


def _none(value: Any) -> bool:
    return value is None


def _false(value: Any) -> bool:
    return value is False


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _scalar(value: Any) -> bool:
    """Accept a value of a column: other types break the SQL session, which all clients share."""
    return value is None or isinstance(value, (str, int, float))


def _words(value: Any) -> bool:
    return value is None or isinstance(value, str)


_KEYS = frozenset({str, int, bool})


def _path(value: Any) -> bool:
    """Accept a path in a tree: it leads to a key of RocksDB, not to a file; its length costs its square."""
    return isinstance(value, (str, int)) or (
        isinstance(value, (list, tuple)) and len(value) <= DEEPEST_SENT and _KEYS.issuperset(map(type, value))
    )


def _path_of_something(value: Any) -> bool:
    """Accept a path that is not that of a run as a whole: the trash would not have it."""
    return _path(value) and value not in ((), [])


_run_hash = _text(_RUN)

_RESOURCES = {
    "TreeView": _Resource(
        arguments={
            "name": _text("|".join(TREES)),
            "sub": _either(_none, _run_hash),
            "read_only": _flag,
            "index": _false,
            "timeout": _none,
        },
        methods={
            "preload": (),
            "collect": (_path, _flag, _flag),
            "keys_eager": (_path,),
            "items_eager": (_path,),
            "first_key": (_path,),
            "last_key": (_path,),
            "make_array": (_path,),
            "set": (_path, _anything, _flag),
            "update": (_path, _anything),
            "__setitem__": (_path, _anything),
            "__delitem__": (_path_of_something,),
        },
    ),
    "StructuredRun": _Resource(
        arguments={"hash_": _run_hash, "read_only": _flag, "created_at": _scalar},
        methods={"add_tag": (_scalar,), "remove_tag": (_scalar,)},
        readable=frozenset({"name", "description", "archived", "creation_time", "end_time", "experiment", "tags"}),
        writable={"name": _words, "description": _words, "archived": _flag, "experiment": _words},
    ),
    "Repo": _Resource(
        methods={
            "list_all_runs": (),
            "list_active_runs": (),
            "delete_run": (_run_hash,),
            "_close_run": (_run_hash,),
            "prune": (),
        },
    ),
    "Lock": _Resource(arguments={"run_hash": _run_hash}, methods={"lock": (_flag,), "release": (_flag,)}),
    "RunHeartbeat": _Resource(arguments={"run_hash": _run_hash}, methods={"stop": ()}),
    "FileManager": _Resource(
        methods={
            "poll": (_text(rf"{_RUN}-\*-\*-\*-\*"),),
            "touch": (_text(_CHECK_IN), _either(_none, _text(rf"{_RUN}-\*-[a-z_]+-\*-\*"))),
        },
    ),
}


def restrict_instructions() -> None:
    """Restrict the resources and instructions of the tracking server that is made afterwards, in this process.

    A client that is refused gets a PermissionError: Aim's client raises what the server names, if it can import it.
    """
    check_version()
    restrict_run_hashes()
    from aim.ext.transport import server, tracking

    server.prepare_resource_registry = _registry(server.prepare_resource_registry())
    bound_stored_trees()
    tracking.unpack_args, tracking.decode_tree = unpack, _decode
    tracking.TrackingRouter.get_resource = _own_handlers_only(tracking.TrackingRouter.get_resource)


def _registry(complete: Any) -> Callable[[], Any]:
    """Make Aim's registry of resource types again, restricted."""

    def restricted() -> Any:
        registry = type(complete)()
        for name in _RESOURCES:
            registry.register(name, functools.partial(_get_resource, name, complete[name]))
        return registry

    return restricted


def _get_resource(kind: str, getter: Callable[..., Any], **arguments: Any) -> Any:
    """Call a getter of Aim's, and replace the resource in its reference; Aim's finalizer has it from before."""
    checked = {name: arguments.get(name) for name in _RESOURCES[kind].arguments}
    for name, rule in _RESOURCES[kind].arguments.items():
        if not rule(checked[name]):
            raise _refuse("argument", f"{kind}({name}={reprlib.repr(checked[name])})")
    reference = getter(**checked)
    reference._resource = _Restricted(kind, reference.ref)
    return reference


class _Restricted:
    """A resource with the instructions of Aim's own client, and without any other attribute."""

    __slots__ = ("_kind", "_resource")

    def __init__(self, kind: str, resource: Any) -> None:
        object.__setattr__(self, "_kind", kind)
        object.__setattr__(self, "_resource", resource)

    def __getattribute__(self, name: str) -> Any:
        kind, resource = object.__getattribute__(self, "_kind"), object.__getattribute__(self, "_resource")
        if name in _RESOURCES[kind].readable:
            return getattr(resource, name)
        if name not in _RESOURCES[kind].methods:
            raise _refuse("instruction", f"{kind}.{name}")
        return functools.partial(_call, kind, resource, name)

    def __setattr__(self, name: str, value: Any) -> None:
        kind, resource = object.__getattribute__(self, "_kind"), object.__getattribute__(self, "_resource")
        if name not in _RESOURCES[kind].writable:
            raise _refuse("instruction", f"setting {kind}.{name}")
        if not _RESOURCES[kind].writable[name](value):
            raise _refuse("argument", f"{kind}.{name} = {reprlib.repr(value)}")
        setattr(resource, name, value)


def _call(kind: str, resource: Any, name: str, *arguments: Any) -> Any:
    rules = _RESOURCES[kind].methods[name]
    if len(arguments) != len(rules) or not all(rule(value) for rule, value in zip(rules, arguments)):
        raise _refuse("argument", f"{kind}.{name}{reprlib.repr(arguments)}")
    return getattr(resource, name)(*arguments)


def _own_handlers_only(get_resource: Callable[..., Any]) -> Callable[..., Any]:
    """Check the handler that a client asks for: it is new, or has been its own before the connection broke."""
    from aim.ext.transport.message_utils import build_exception
    from aim.ext.transport.router import ClientRouter
    from fastapi.responses import JSONResponse

    @functools.wraps(get_resource)
    async def checked(self: Any, client_uri: str, request: Any) -> Any:
        refusal, body = None, await request.json()
        handler = (body.get("resource_handler") or "") if isinstance(body, dict) else None
        if isinstance(handler, str) and re.fullmatch(f"(?:{IDENTIFIER})?", handler):
            owner, _ = self.resource_pool.get(handler, (client_uri, None))
            if owner == client_uri:
                refusal = _too_many(self.resource_pool, client_uri, body.get("resource_type"))
                if not refusal:
                    ClientRouter.client_heartbeat_pool.setdefault(client_uri, time.time())
                    return await get_resource(self, client_uri, request)
        refusal = refusal or _refuse("handler", f"the resource handler {reprlib.repr(handler)}")
        return JSONResponse({"exception": build_exception(refusal)}, status_code=400)

    return checked


def _too_many(pool: dict[str, tuple[str, Any]], client: str, kind: Any) -> PermissionError | None:
    """The refusal of one more resource, if there are too many of its type."""
    known = kind if isinstance(kind, str) and kind in _MOST_RESOURCES else ""
    same = [owner for owner, reference in pool.values() if _kind_of(reference) == known]
    of_client, of_all = _MOST_RESOURCES.get(known, _MOST_OTHERS)
    if same.count(client) < of_client and len(same) < of_all:
        return None
    return _refuse("number", f"one more {known or 'resource'}: a client has {of_client} at most, and all {of_all}")


def _kind_of(reference: Any) -> str:
    kind = object.__getattribute__(reference.ref, "_kind")
    return kind if kind in _MOST_RESOURCES else ""


def _decode(pairs: Iterable[tuple[bytes, Any]]) -> Any:
    try:
        return decode_request(pairs)
    except UnboundedError as error:
        raise _refuse("size", str(error)) from None


def _refuse(kind: str, what: str) -> PermissionError:
    REFUSALS.note(kind, what)
    return PermissionError(f"refused by the tracking server, which takes runs and nothing else: {what[:200]}")

"""Keeps a search inside the runs (GHSA-mxvw-cj37-8g2h, CVE-2025-5321).

Aim evaluates a query, a Python expression, for each run or sequence in `RestrictedPythonQuery.check`, compiled with
RestrictedPython. Its guard lets a query read every attribute without a leading underscore, of every object: from
`run.db` it is a few dots to `os.system`, and one GET runs a command in the server. It also offers `setattr`, lets a
comprehension assign attributes, and has no bound on what an expression costs.

Here a query is made of what `expressions` knows, reads the names of `_NAMES` only, finds the functions of `_BUILTINS`,
and is bounded by `costs`. One that wants more is like one that fails in Aim: it finds nothing, and the log says why.
"""

from __future__ import annotations

import datetime as dt
import math
import random
from encodings import punycode
from types import ModuleType
from typing import Any, Callable

from . import costs
from .costs import OF_DATES, OF_MAPPINGS, OF_TEXT, Bound, RefusedError
from .expressions import check_length, compile_query

_BUILTINS = (
    "abs all any bool chr complex datetime divmod float frozenset hex int isinstance len list math max min oct ord "
    "random range repr set sorted str sum timedelta tuple "
    "__import__"  # `datetime.strftime` imports `time` by it; a query cannot name it
)
"""Built-in names that stay of those that Aim offers; `pow` and `round` are replaced."""

_TEXT = (
    "capitalize casefold center count endswith find index isalnum isalpha isascii isdecimal isdigit isidentifier "
    "islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip partition removeprefix removesuffix "
    "replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title upper zfill"
)
_SET = "copy difference intersection isdisjoint issubset issuperset symmetric_difference union"
_DATE = "ctime day fromisoformat fromtimestamp isocalendar isoformat isoweekday max min month replace strftime today "
_DATE += "toordinal weekday year"
_TIME = "fold hour isoformat max microsecond min minute replace second strftime tzinfo"

_NAMES: dict[Any, frozenset[str]] = {
    owner: frozenset(names.split())
    for owner, names in {
        str: _TEXT,
        bytes: "count endswith find hex startswith",
        bool: "bit_length conjugate denominator imag numerator real",
        int: "bit_count bit_length conjugate denominator imag numerator real",
        float: "as_integer_ratio conjugate hex imag is_integer real",
        complex: "conjugate imag real",
        type(None): "",
        list: "copy count index",
        tuple: "count index",
        range: "count index start step stop",
        dict: "copy get items keys values",
        set: _SET,
        frozenset: _SET,
        dt.date: _DATE,
        dt.time: _TIME,
        dt.datetime: f"{_DATE} {_TIME} astimezone combine date now time timestamp utcfromtimestamp utcnow",
        dt.timedelta: "days max microseconds min resolution seconds total_seconds",
        # without comb, factorial, lcm, perm and prod, whose cost has no bound
        math: "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh degrees dist e erf erfc exp exp2 "
        "expm1 fabs floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt ldexp lgamma log "
        "log10 log1p log2 modf nan nextafter pi pow radians remainder sin sinh sqrt tan tanh tau trunc ulp",
        random: "choice gauss randint random randrange uniform",
    }.items()
}
"""Names that a query may read of values, of their classes (`key=str.lower`), and of two modules."""

_BOUNDED: dict[Any, dict[str, Bound]] = {
    str: OF_TEXT,
    dict: OF_MAPPINGS,
    **dict.fromkeys((dt.date, dt.time, dt.datetime), OF_DATES),
}
"""Methods that are bounded by what they are given."""

_OF_STORE = frozenset({"get", "items", "keys"})
"""Methods of the tree in which Aim stores a run: `run.hparams.get("lr")`."""


def restrict_queries() -> None:
    """Replace Aim's guard of queries by this one, in this process and those forked from it."""
    from aim.sdk.query_analyzer import QueryExpressionTransformer
    from aim.sdk.query_utils import MetricsView, RunView
    from aim.storage import proxy, query

    query.compile_restricted = compile_query
    query.compile_checker.cache_clear()
    _replace_namespace(query.restricted_globals)
    _bound_evaluations(query.RestrictedPythonQuery)
    _bound_split(QueryExpressionTransformer)
    bound_punycode()
    # `run.hparams.x` asks the stored tree for an attribute x first, and gives away its own: its container, its `set`
    proxy.getattr = _read_store
    # `1 in run` would ask run[0], run[1] ... for ever, as each is there
    RunView.__iter__ = MetricsView.__iter__ = None


def _replace_namespace(namespace: dict[str, Any]) -> None:
    offered = namespace["__builtins__"]
    builtins = {name: offered[name] for name in _BUILTINS.split()}
    builtins.update(pow=costs.power, round=costs.rounded)
    namespace.clear()
    namespace.update(
        __builtins__=builtins,
        _truth_=bool,
        _refuse_=_refuse,
        _getattr_=_attribute_reader(),
        _getitem_=_item_reader(),
        _getiter_=costs.iterate,
        _built_=costs.built,
        _multiply_=costs.multiply,
        _power_=costs.power,
        _shift_=costs.shift,
        _modulo_=costs.modulo,
        _contains_=costs.contains,
    )


def _bound_evaluations(kind: Any) -> None:
    check = getattr(kind.check, "__wrapped__", kind.check)

    def check_within_bounds(self: Any, **values: Any) -> Any:
        begin = costs.begin_evaluation()
        try:
            return check(self, **values)
        finally:
            costs.end_evaluation(begin)

    check_within_bounds.__wrapped__ = check  # type: ignore[attr-defined]
    kind.check = check_within_bounds


def _bound_split(kind: Any) -> None:
    """Aim splits what concerns runs alone from a query of sequences; one that cannot be split is left whole."""
    transform = getattr(kind.transform, "__wrapped__", kind.transform)

    def transform_within_bounds(self: Any, expression: str) -> tuple[str, bool]:
        try:
            check_length(expression)
            return transform(self, expression)  # type: ignore[no-any-return]
        except (RefusedError, RecursionError, MemoryError, ValueError):
            return expression, False

    transform_within_bounds.__wrapped__ = transform  # type: ignore[attr-defined]
    kind.transform = transform_within_bounds


def bound_punycode() -> None:
    """Bound the one codec that takes the square of a length: `str(value, "punycode")` of bytes that a run has."""
    decode = getattr(punycode.punycode_decode, "__wrapped__", punycode.punycode_decode)

    def decode_within_bounds(text: Any, errors: str) -> str:
        costs.check_size(len(text))
        return decode(text, errors)

    decode_within_bounds.__wrapped__ = decode  # type: ignore[attr-defined]
    punycode.punycode_decode = decode_within_bounds


def _refuse(reason: str) -> None:
    raise RefusedError(reason)


def _read_store(tree: Any, name: str, default: Any) -> Any:
    if name in _OF_STORE:
        return getattr(tree, name, default)
    if hasattr(tree, name):
        raise RefusedError(f"a query cannot read {name!r} of a run's store; write [{name!r}] for a value of that name")
    return default


def _attribute_reader() -> Callable[[Any, str], Any]:
    from aim.sdk.query_utils import RunView, SequenceView
    from aim.storage.proxy import AimObjectProxy
    from aim.storage.structured.sql_engine.entities import ModelMappedRun
    from aim.storage.types import SafeNone

    # reading `info` writes a row to the database, and gives an object that has its session
    of_run = {"hash", "get", "metrics", "end_time", "active", "duration", *ModelMappedRun.fields()} - {"info"}

    def read_run(run: Any, name: str) -> Any:
        if name in of_run:
            return getattr(run, name, None)
        if name == "info" or name in vars(run):
            raise RefusedError(f"a query cannot read {name!r} of a run; write run[{name!r}] for a value of that name")
        return run[name]

    def read_sequence(sequence: Any, name: str) -> Any:
        known = name in ("name", "run", "context")
        return getattr(sequence, name) if known else SequenceView.__getattr__(sequence, name)

    readers: dict[type, Callable[[Any, str], Any]] = {
        RunView: read_run,
        SequenceView: read_sequence,
        AimObjectProxy: AimObjectProxy.__getattr__,
        SafeNone: getattr,
    }
    return lambda thing, name: readers.get(type(thing), _read_value)(thing, name)


def _read_value(value: Any, name: str) -> Any:
    kind = type(value)
    owner = value if kind in (type, ModuleType) else kind
    names = _NAMES.get(owner)
    if names is not None and not hasattr(owner, name):
        return None  # as Aim has it: `run.finalized_at.year` of a run that has not ended
    if names is None or name not in names:
        raise RefusedError(f"a query cannot read {name!r} of {getattr(owner, '__name__', kind.__name__)}")
    bound = _BOUNDED.get(owner, {}).get(name)
    if not bound:
        return getattr(value, name)
    if owner is value:
        raise RefusedError(f"a query calls {name!r} of a value, not of {owner.__name__}")
    return bound(value, getattr(value, name))


def _item_reader() -> Callable[[Any, Any], Any]:
    from aim.sdk.query_utils import MetricsView, RunView
    from aim.storage.proxy import AimObjectProxy
    from aim.storage.types import SafeNone

    known = {str, bytes, list, tuple, dict, range, RunView, MetricsView, AimObjectProxy, SafeNone}

    def read(thing: Any, key: Any) -> Any:
        if type(thing) not in known:
            raise RefusedError(f"a query takes no item of {type(thing).__name__}")
        # a slice is a value that the query makes
        return costs.built(thing[key]) if type(key) is slice else thing[key]

    return read

"""What a query may say: an expression of few kinds of nodes, with each read and each repetition behind a guard."""

from __future__ import annotations

import ast
from types import CodeType
from typing import Any

from .costs import RefusedError, check_literal, check_width

_OPERATIONS: dict[type[ast.operator], str] = {
    ast.Mult: "_multiply_",
    ast.Pow: "_power_",
    ast.LShift: "_shift_",
    ast.Mod: "_modulo_",
}

_LONGEST_QUERY = 2**15
"""Characters. Of longer ones, `run.a.a.a ...` ends a process of Python before 3.11 by SIGSEGV, and others take seconds
to be compiled; uvicorn promises to read 16 KiB."""

_MOST_COMPARISONS = 16
"""Of one chain, `a < b < c ...`: the clock is looked at behind it only."""

_KNOWN = (
    *(ast.Expression, ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Call, ast.keyword),
    *(ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.JoinedStr, ast.FormattedValue, ast.Starred),
    *(ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
    *(ast.comprehension, ast.Lambda, ast.arguments, ast.arg),
    *(ast.boolop, ast.operator, ast.unaryop, ast.cmpop, ast.expr_context),
)
"""Kinds of nodes; a new one of Python's is refused until somebody has thought about it."""


def compile_query(source: str, filename: str = "<query>", mode: str = "eval") -> CodeType:
    """Compile a query, in place of RestrictedPython's `compile_restricted`.

    Returns:
        its code, which calls guards (`_getattr_`, `_getitem_`, `_getiter_`, those of `_OPERATIONS`) and charges for
        values by `_built_`; for an expression that is refused, code that calls `_refuse_` with the reason.

    Raises:
        SyntaxError: it is no expression; Aim answers 400 with the position.
    """
    try:
        check_length(source)
        tree = _Guard().visit(ast.parse(source, filename, mode))
        # a result may read the run only when it is asked for its truth, which Aim does where no failure is expected
        tree.body = _call("_truth_", tree.body)
        return compile(ast.fix_missing_locations(tree), filename, mode)
    except RefusedError as refused:
        reason = str(refused)
    except (RecursionError, MemoryError, ValueError) as error:  # nested too deeply; a NUL in it
        reason = f"it cannot be compiled: {error}"
    return compile(f"_refuse_({reason!r})", filename, mode)


def check_length(source: str) -> None:
    """Refuse a query that is too long to be parsed."""
    if len(source) > _LONGEST_QUERY:
        raise RefusedError(f"a query has at most {_LONGEST_QUERY} characters")


class _Guard(ast.NodeTransformer):
    """Puts calls of the guards into an expression, and refuses nodes that are not known."""

    def visit(self, node: ast.AST) -> Any:
        if not isinstance(node, _KNOWN):
            raise RefusedError(f"a query has no {type(node).__name__}")
        return super().visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        _check_name(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        _check_name(node.arg)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        _check_name(node.arg or "**")
        if node.arg == "key" and isinstance(node.value, ast.Lambda):
            self.generic_visit(node.value)
            node.value.body = _built(node.value.body)
            return node
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bytes):  # `str(b"...", "punycode")` takes the square of its length
            raise RefusedError("a query has no bytes")
        check_literal(node.value)
        return node

    def visit_Lambda(self, _node: ast.Lambda) -> ast.AST:
        raise RefusedError("a query has lambdas as the `key` of a call only: others can call themselves for ever")

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if any(isinstance(argument, ast.Starred) for argument in node.args):
            raise RefusedError("a query has no * before an argument")
        return self._visit_maker(node)

    def _visit_maker(self, node: ast.expr) -> ast.AST:
        self.generic_visit(node)
        return _built(node)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_Set = visit_JoinedStr = _visit_maker  # noqa: N815

    def visit_List(self, node: ast.List) -> ast.AST:
        return self._visit_maker(node) if isinstance(node.ctx, ast.Load) else self.generic_visit(node)

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        return self._visit_maker(node) if isinstance(node.ctx, ast.Load) else self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        # of `{**this, **that}` each is charged, though they may have the same keys
        pairs = zip(node.keys, node.values)
        node.values = [value if key else _built(value) for key, value in pairs]
        return _built(node)

    def visit_Starred(self, node: ast.Starred) -> ast.AST:
        self.generic_visit(node)
        node.value = _built(node.value)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if len(node.ops) > _MOST_COMPARISONS:
            raise RefusedError(f"a query has at most {_MOST_COMPARISONS} comparisons in one chain")
        if isinstance(node.ops[0], (ast.In, ast.NotIn)) and len(node.ops) == 1:
            self.generic_visit(node)
            found = _built(_call("_contains_", node.left, *node.comparators))
            return found if isinstance(node.ops[0], ast.In) else ast.UnaryOp(ast.Not(), found)
        if any(isinstance(each, (ast.In, ast.NotIn)) for each in node.ops):
            raise RefusedError("a query has no `in` in a chain of comparisons")
        return self._visit_maker(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        _check_name(node.attr)
        _check_reads(node.ctx)
        return _call("_getattr_", self.visit(node.value), ast.Constant(node.attr))

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        _check_reads(node.ctx)
        return _call("_getitem_", self.visit(node.value), self.visit(node.slice))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        guard = _OPERATIONS.get(type(node.op))
        self.generic_visit(node)
        return _built(_call(guard, node.left, node.right) if guard else node)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        if node.is_async:
            raise RefusedError("a query has no async for")
        self.generic_visit(node)
        node.iter = _call("_getiter_", node.iter)
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        for part in node.format_spec.values if isinstance(node.format_spec, ast.JoinedStr) else ():
            check_width(str(part.value) if isinstance(part, ast.Constant) else "*")
        node.value = _built(self.visit(node.value))
        return node


def _call(guard: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(guard, ast.Load()), list(arguments), [])


def _built(value: ast.expr) -> ast.Call:
    return _call("_built_", value)


def _check_name(name: str) -> None:
    # a variable like `_getattr_` would take the place of a guard
    if name.startswith(("_", "*")) and name != "_":
        raise RefusedError(f"a query has no name like {name!r}")


def _check_reads(context: ast.expr_context) -> None:
    if not isinstance(context, ast.Load):  # `[0 for run.name in ["x"]]`
        raise RefusedError("a query assigns to names only")

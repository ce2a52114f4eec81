"""What the code's failures can say, read from its source.

Belongs here: raise sites that name a page, their texts as patterns. Does not belong here: the pages
(`unit/test_house_refusals.py`).
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from de_stack_tests.services import REPOSITORY

ANYTHING = "(?s:.*)"


@dataclass(frozen=True)
class Site:
    """Where a failure is made: its pages, and patterns of what was tried, what came, the fix.

    A part that the function does not spell out is `ANYTHING`; `fix` is None where there is none.
    """

    where: str
    pages: tuple[str, ...]
    tried: list[str]
    got: list[str]
    fix: list[str] | None


def sites() -> list[Site]:
    """All calls in the package that name a page, or make a failure whose class has one."""
    trees = {
        path.relative_to(REPOSITORY): ast.parse(path.read_text())
        for path in sorted((REPOSITORY / "de_stack").rglob("*.py"))
    }
    classes = {
        node.name: page
        for tree in trees.values()
        for node in ast.walk(tree)
        if (page := _page_of(node)) and not _constructor(node)
    }
    return [site for path, tree in trees.items() for site in _sites(path, tree, classes)]


def _page_of(node: ast.AST) -> str:
    """The page of a class of failures, empty for all else."""
    for line in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "page":
            assert isinstance(line.value, ast.Constant)
            return line.value.value
    return ""


def _constructor(node: ast.AST) -> bool:
    """True where a class makes its message of other arguments."""
    body = node.body if isinstance(node, ast.ClassDef) else []
    return any(isinstance(x, ast.FunctionDef) and x.name == "__init__" for x in body)


def _sites(path: Path, tree: ast.AST, classes: dict[str, str]) -> Iterator[Site]:
    for scope in _scopes(tree):
        own = _page_of(scope)
        for call in ast.walk(scope):
            if not isinstance(call, ast.Call):
                continue
            name = ast.unparse(call.func).rpartition(".")[2]
            given = {k.arg: k.value for k in call.keywords}
            if "page" in given:
                found = [n.value for n in ast.walk(given["page"]) if isinstance(n, ast.Constant)]
                pages = tuple(page for page in found if isinstance(page, str))
            elif name == "__init__" and own:
                pages = (own,)
            elif name in classes:
                pages = (classes[name],)
            else:
                continue
            parts = [_patterns(argument, scope) for argument in call.args] + [[ANYTHING]] * 2
            fix = given.get("fix")
            has_fix = (
                len(call.args) > 2 or fix or any(isinstance(a, ast.Starred) for a in call.args)
            )
            fixes = _patterns(fix, scope) if fix else parts[2]
            yield Site(f"{path}:{call.lineno}", pages, *parts[:2], fixes if has_fix else None)


def _scopes(tree: ast.AST) -> Iterator[ast.AST]:
    """Functions that are in no other one, and classes with a page for their constructors."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not _page_of(node):
            yield from _scopes(node)
        else:
            yield node


def _patterns(value: ast.expr, scope: ast.AST, deep: int = 0) -> list[str]:
    """Regular expressions of what an expression may be; names by what the function gives them."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return [re.escape(value.value)]
    if isinstance(value, ast.JoinedStr):
        return ["".join(re.escape(str(v.value)) if isinstance(v, ast.Constant) else ANYTHING
                        for v in value.values)]  # fmt: skip
    if isinstance(value, ast.IfExp):
        return [p for v in (value.body, value.orelse) for p in _patterns(v, scope, deep)]
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        left, right = (_patterns(v, scope, deep) for v in (value.left, value.right))
        return [a + b for a in left for b in right]
    if isinstance(value, ast.Name) and deep < 3:
        given = [
            p
            for n in ast.walk(scope)
            if isinstance(n, ast.Assign | ast.NamedExpr)
            for name, v in _given(n)
            if name == value.id
            for p in _patterns(v, scope, deep + 1)
        ]
        changed = any(
            isinstance(n, ast.AugAssign) and ast.unparse(n.target) == value.id
            for n in ast.walk(scope)
        )
        return [f"{p}{ANYTHING}" if changed else p for p in given] or [ANYTHING]
    return [ANYTHING]


def _given(node: ast.Assign | ast.NamedExpr) -> Iterator[tuple[str, ast.expr]]:
    """Names and values of `a = x`, `a, b = x, y` and `(a := x)`."""
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            yield from zip(map(ast.unparse, target.elts), node.value.elts, strict=False)
        else:
            yield ast.unparse(target), node.value

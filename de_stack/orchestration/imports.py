"""Which modules of a domain import one of it.

Belongs here: the imports that stand in a folder's files. Does not belong here: what modules define,
imports by a name that is put together at run time.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path


class Imports:
    """The imports between the modules of a package's folder."""

    def __init__(self, folder: Path, package: str) -> None:
        self._names = {name: set(_imported(path, name)) for name, path in _modules(folder, package)}

    def above(self, module: str, stop: Collection[str] = ()) -> set[str]:
        """A module, those that import it, those that import these, and so on; not past `stop`."""
        found, left = set[str](), [module]
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                if one not in stop:
                    left += [name for name, names in self._names.items() if one in names]
        return found


def _modules(folder: Path, package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*.py")):
        inner = path.relative_to(folder).with_suffix("").parts
        yield ".".join((package, *inner)).removesuffix(".__init__"), path


def _imported(path: Path, name: str) -> Iterator[str]:
    """Dotted names that a module imports, with the packages that Python runs on the way to them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            full = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".") + ([""] if path.name == "__init__.py" else [])
                base = ".".join([*parts[: -node.level], *([base] if base else [])])
            full = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for dotted in full:
            parts = dotted.split(".")
            yield from (".".join(parts[:n]) for n in range(1, len(parts) + 1))

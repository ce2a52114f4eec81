"""The continuous queries of all domains, by name.

Belongs here: finding them. Does not belong here: any one of them (`defs/<domain>/stream.py`),
running them.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from de_stack.failures import PermanentFailure

if TYPE_CHECKING:
    from de_stack.flow.continuous.query import Query

_DEFS = Path(__file__).resolve().parent.parent / "defs"


@cache
def load_queries() -> dict[str, Query]:
    """Every query of every domain.

    Raises:
        PermanentFailure: two have one name, or one has another domain than its folder.
    """
    found: dict[str, Query] = {}
    for path in sorted(_DEFS.glob("*/stream.py")):
        # By name and not by import: the house knows no domain.
        module = importlib.import_module(f"de_stack.defs.{path.parent.name}.stream")
        for query in module.QUERIES:
            tried = f"load the queries of {path.parent.name}"
            if query.domain != path.parent.name:
                raise PermanentFailure(tried, f"{query.name} is of another domain")
            if query.name in found:
                raise PermanentFailure(tried, f"{query.name} stands twice")
            found[query.name] = query
    return found


def load_query(name: str) -> Query:
    """The query called `domain.entity`.

    Raises:
        PermanentFailure: there is no such query; the message lists those that are.
    """
    queries = load_queries()
    if name not in queries:
        known = ", ".join(queries) or "none"
        raise PermanentFailure(f"find query {name!r}", "no domain has it", f"one of: {known}")
    return queries[name]

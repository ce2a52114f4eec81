"""Words that no column of ours may be called.

Belongs here: SQL's words, and our own. Does not belong here: what a column is called (`draft.py`).
"""

from __future__ import annotations

from functools import cache

# Words that SQL or Spark would take for something else where a name may stand without quotes, and
# what the columns of statistics are called.
_SPOKEN_FOR = frozenset(
    (
        *("all", "and", "any", "array", "as", "asc", "between", "by", "case", "cast", "check"),
        *("column", "count", "create", "cross", "current", "date", "datetime", "day", "default"),
        *("desc", "distinct", "drop", "else", "end", "except", "exists", "false", "fetch", "for"),
        *("from", "full", "group", "having", "hour", "if", "in", "inner", "interval", "into", "is"),
        *("join", "left", "like", "limit", "map", "month", "not", "null", "offset", "on", "or"),
        *("order", "outer", "primary", "references", "right", "row", "rows", "select", "set"),
        *(
            "struct",
            "table",
            "then",
            "time",
            "timestamp",
            "to",
            "true",
            "union",
            "unique",
            "update",
        ),
        *("update", "user", "using", "values", "when", "where", "window", "window_end"),
        *("window_start", "with", "year"),
    )
)


@cache
def spoken_for() -> frozenset[str]:
    """With those that DuckDB itself says it takes for something else."""
    import duckdb

    sql = "select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'"
    with duckdb.connect() as db:
        return _SPOKEN_FOR | {row[0] for row in db.execute(sql).fetchall()}

"""What tests of tweets share: loading, deriving what is pending, the same numbers by DuckDB.

Belongs here: looking into bronze and Postgres, the oracle. Does not belong here: tests.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from de_stack import partitions
from de_stack.contracts.day_files import load_day_files
from de_stack.contracts.load import DEFS
from de_stack.defs.tweets import serve
from de_stack.defs.tweets.core.reach import REACHED
from de_stack.flow.day_files import bronze
from de_stack.flow.ledger import Ledger
from de_stack.flow.ledger_check import check
from de_stack.flow.load import Loaded, load
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import serving

TWEETS = load_day_files("tweets")
SAMPLE = sorted((DEFS / "tweets" / "sample").glob("*.csv"))
SERVED = serve.GOLDS
NOW = datetime(2022, 2, 1, tzinfo=UTC)


def bring(settings: Settings, *paths: Path) -> list[Loaded]:
    return [load(settings, TWEETS, path, REACHED, "test", NOW) for path in paths]


def pending(settings: Settings) -> list[datetime]:
    ledger, source = Ledger(settings), bronze(settings, TWEETS).table_id
    days = {d for s in SERVED for d in ledger.pending(s.table(settings).table_id, source)}
    return sorted(days)


def derive_pending(settings: Settings, spark: Any) -> None:
    """What the sensor asks for, without Dagster."""
    for first, last in partitions.contiguous(pending(settings), "day"):
        for served in SERVED:
            served.compute(settings, first, last, spark, "test")
            served.publish(settings, first, last, "test")


def published(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    schema = settings.names.schema("tweets")
    return {
        s.entity: serving(settings, f"select * from {schema}.gold_{s.entity} order by 1, 2, 3, 4")
        for s in SERVED
    }


def computed(paths: Iterable[Path]) -> dict[str, list[tuple[Any, ...]]]:
    """The same from the files, by another engine and other SQL."""
    db = duckdb.connect()
    db.execute("set TimeZone = 'UTC'")
    db.execute(
        """
        create table t as
        with rows as (
            select *, parse_filename(filename) as file
            from read_csv(?, all_varchar = true, header = true, union_by_name = true,
                          filename = true, quote = '"', escape = '"', delim = ',')),
        good as (
            select file, status_id::bigint as status_id, user_id::bigint as user_id,
                   created_at::timestamptz as created_at, screen_name, coalesce(text, '') as text,
                   coalesce(source, '') as source, reply_to_status_id::bigint as original,
                   reply_to_user_id::bigint as other
            from rows
            where regexp_full_match(status_id, '\\d+') and regexp_full_match(user_id, '\\d+')
              and regexp_full_match(created_at, '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ')
              and regexp_full_match(coalesce(reply_to_status_id, '0'), '\\d+')
              and regexp_full_match(coalesce(reply_to_user_id, '0'), '\\d+'))
        select *, created_at::date as day from good
        qualify row_number() over (partition by created_at::date, user_id, status_id
                                   order by file desc) = 1
        """,
        [[str(path) for path in paths]],
    )
    tags = r"(?:^|[^\p{L}\p{M}\p{N}_&])#([\p{N}_]*\p{L}[\p{L}\p{M}\p{N}_]*)"
    summary = db.execute(
        """
        select day, user_id, count(*), list(source),
               list_sort(list_distinct(list_transform(
                   flatten(list(regexp_extract_all(text, ?, 1))), x -> lower(x)))),
               arg_max(screen_name, (created_at, status_id))
        from t group by all order by 1, 2
        """,
        [tags],
    ).fetchall()
    replies = db.execute(
        """
        with originals as (select status_id, min(created_at) as at from t group by 1)
        select day, user_id,
               row_number() over (partition by day, user_id order by created_at, t.status_id),
               t.status_id, created_at, original, other,
               case when o.at::date <= day then epoch(created_at) - epoch(o.at) end
        from t left join originals o on o.status_id = t.original
        where original is not null or other is not null order by 1, 2, 3
        """
    ).fetchall()
    renames = db.execute(
        """
        select day, user_id, old, screen_name, created_at, status_id from (
            select *, lag(screen_name) over (partition by user_id
                                             order by created_at, status_id) as old from t)
        where old <> screen_name order by 1, 2, 3, 4
        """
    ).fetchall()
    counted = [
        (*head, {s: sources.count(s) for s in sources}, *rest)
        for *head, sources, hashtags, name in summary
        for rest in [(hashtags, name)]
    ]
    return {"daily_summary": counted, "replies": replies, "renames": renames}


def rows_of(settings: Settings) -> list[dict[str, Any]]:
    table = bronze(settings, TWEETS)
    return Lake(settings).query(table.uri, 'select * from t order by file, "row"').to_pylist()


def counted(settings: Settings, what: str) -> int:
    uri = bronze(settings, TWEETS).uri
    return Lake(settings).query(uri, f"select {what} as n from t").to_pylist()[0]["n"]


def agreed(settings: Settings) -> None:
    assert [c for c in check(settings) if c.disagreements] == []

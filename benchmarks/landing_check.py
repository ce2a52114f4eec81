"""What is in a table that a landing made, so that two can be held against each other.

Belongs here: counts, sums and one digest of all columns, by DuckDB from the table's files. Does not
belong here: who made the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Every column of bronze; times as microseconds, because engines write them in different types.
_DIGEST = """
    hash(topic, topic_id, partition, "offset", epoch_us(broker_time::timestamptz),
    epoch_us(ingest_hour::timestamptz), event_id, epoch_us(event_time::timestamptz),
    epoch_us(event_hour::timestamptz), error, contract_version, key, headers, value,
    record.source_id, record.metric, record.value, epoch_us(record.measured_at::timestamptz),
    record is null, ingest_date::date)
"""


@dataclass(frozen=True)
class Content:
    """Two tables with the same content are equal here, whatever the order of their rows."""

    rows: int
    places: int
    total: float
    rejects: tuple[tuple[str, int], ...]
    digest: tuple[int, int]


def bronze(uri: str) -> Content:
    """Content of a table with bronze's columns."""
    found = _query(
        uri,
        f'select count(*), count(distinct (partition, "offset")), '  # noqa: S608
        "sum(record.value::decimal(38, 6))::double, "
        f"bit_xor({_DIGEST}), sum({_DIGEST}::hugeint) % 1000000007 from t",
    )[0]
    codes = _query(
        uri, "select split_part(error, ':', 1), count(*) from t where error is not null group by 1"
    )
    rows, places, total, digest, digests = found
    return Content(rows, places, total, tuple(sorted(codes)), (int(digest), int(digests)))


def plain(uri: str) -> tuple[int, int]:
    """(rows, distinct places) of what the plain script has made: it rejects otherwise."""
    return _query(uri, 'select count(*), count(distinct (partition, "offset")) from t')[0]


def size_mb(uri: str) -> float:
    from deltalake import DeltaTable

    sizes = DeltaTable(uri).get_add_actions(flatten=True)["size_bytes"].to_pylist()
    return sum(sizes) / 1e6


def stats_columns(uri: str) -> set[str]:
    """Columns for which the log has a minimum in every file."""
    import pyarrow as pa
    from deltalake import DeltaTable

    actions = pa.table(DeltaTable(uri).get_add_actions(flatten=True))
    names = [n for n in actions.column_names if n.startswith("min.")]
    return {n.removeprefix("min.") for n in names if actions[n].null_count == 0}


def _query(uri: str, sql: str) -> list[Any]:
    import duckdb
    from deltalake import DeltaTable

    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        files = DeltaTable(uri).file_uris()
        connection.read_parquet(files, hive_partitioning=True).create_view("t")
        return connection.execute(sql).fetchall()

"""Reads what runs of the workload of averages gave, and holds it against what they had to give.

Belongs here: reading both topics, the product's own check of parity on them. Does not belong here:
running anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.averages_topic import NAME, SLIDE, WINDOW
from benchmarks.landing_topic import drain

if TYPE_CHECKING:
    import pyarrow as pa

    from de_stack.flow.continuous.parity import Parity
    from de_stack.settings import Settings

_US = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def messages(settings: Settings, topic: str, begin: dict[int, int]) -> Iterator[Any]:
    """All messages of a topic from some offsets on."""
    for batch in drain(settings.need("kafka_bootstrap"), topic, begin):
        for message in batch:
            if message.error():
                raise SystemExit(f"{topic}: {message.error()}")
            yield message


def ends(settings: Settings, topic: str) -> dict[int, int]:
    """Where a topic ends now."""
    from de_stack.resources.kafka import Kafka

    state = Kafka(settings).topic_state(topic)
    return dict(state.end) if state else {}


def ticks(settings: Settings, topic: str) -> pa.Table:
    """The trades where they lie."""
    import msgspec
    import pyarrow as pa

    decode = msgspec.json.Decoder().decode
    columns: dict[str, list[Any]] = {n: [] for n in ("partition", "offset", "key", "at", "value")}
    for message in messages(settings, topic, {}):
        found = decode(message.value())
        columns["partition"].append(message.partition())
        columns["offset"].append(message.offset())
        columns["key"].append(found["stock_name"])
        columns["at"].append(datetime.fromisoformat(found["event_time"]))
        columns["value"].append(float(found["price"]))
    where = zip(columns["partition"], columns["offset"], strict=True)
    return pa.table(
        columns
        | {
            "partition": pa.array(columns["partition"], pa.int32()),
            "at": pa.array(columns["at"], pa.timestamp("us", "UTC")),
            "event_hour": pa.array([None] * len(columns["at"]), pa.timestamp("us", "UTC")),
            "broker_time": pa.array([None] * len(columns["at"]), pa.timestamp("us", "UTC")),
            "event_id": [f"{partition}/{offset}" for partition, offset in where],
        }
    )


def results(settings: Settings, topic: str, begin: dict[int, int]) -> list[dict[str, Any]]:
    """What a query has sent since: the row, its headers, when the broker had it."""
    import msgspec

    decode, found = msgspec.json.Decoder().decode, []
    for message in messages(settings, topic, begin):
        row = decode(message.value())
        found.append(
            {
                "window_name": row["window_name"],
                "key": row["stock_name"],
                "window_start": datetime.fromisoformat(row["window_start"]),
                "window_end": datetime.fromisoformat(row["window_end"]),
                "average": row["avg_price"],
                "lowest": row["min_price"],
                "highest": row["max_price"],
                "rows": row["count"],
                "partition": message.partition(),
                "headers": [{"key": k, "value": v} for k, v in message.headers() or []],
                "sent_ms": message.timestamp()[1],
            }
        )
    return found


def parity(
    settings: Settings,
    trades: pa.Table,
    given: list[dict[str, Any]],
    offline: Path,
    until: datetime,
    query_id: str,
) -> Parity:
    """The product's check: the query's windows are those of its batches, to the row.

    `offline` has the windows of all trades; what differs from it must be explained by late ones.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from de_stack.flow.continuous import parity as check
    from de_stack.flow.continuous.batches import Batches
    from de_stack.flow.continuous.parity_tables import ends_of

    history = Batches(settings, settings.names.query("stocks", "averages")).history()
    assert history and history.query_id == query_id
    headers = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))
    sent = pa.Table.from_pylist([{k: v for k, v in row.items() if k != "headers"} for row in given])
    sent = sent.append_column("headers", pa.array([row["headers"] for row in given], headers))
    tables = {
        "ticks": trades,
        "messages": sent,
        "ends": ends_of(history),
        "windows": pa.table(
            {"window_name": [NAME], "length_us": [WINDOW // _US], "slide_us": [SLIDE // _US]}
        ),
        "held": pq.read_table(offline),
    }
    found = check.Parity()
    end = (until - EPOCH) // _US
    partitions = sorted({row["partition"] for row in given})
    span = EPOCH, until + _US
    check.judge(found, tables, dict.fromkeys(partitions, end), query_id, span, lambda _: False)
    return found


def quix(
    settings: Settings, topic: str, offline: Path, trades: pa.Table, until: datetime
) -> tuple[int, int, int]:
    """Windows that the Python peer gave; equal to all trades' in number; different.

    A window whose trades all came in time has to be equal: which those are is known for its rule.
    """
    import duckdb
    import msgspec
    import pyarrow as pa

    decode, rows = msgspec.json.Decoder().decode, []
    for message in messages(settings, topic, {}):
        row = decode(message.value())
        rows.append({"key": message.key().decode(), "start_ms": row.pop("start"), **row})
    theirs = pa.Table.from_pylist(rows)
    db = duckdb.connect()
    db.register("theirs", theirs)
    db.register("trades", trades)
    (found,) = db.execute(
        """
        with newest as (
            select key, "at", max("at") over (partition by key order by "offset") as newest
            from trades
        ),
        late as (
            select distinct key, epoch_ms("at") - epoch_ms("at") % 10000 - n * 10000 as start_ms
            from newest cross join unnest(range(0, 6)) as u(n)
            where epoch_ms("at") - epoch_ms("at") % 10000 - n * 10000 + 60000 + 30000
                  <= epoch_ms(newest)
        ),
        held as (
            select *, epoch_ms(window_start) as start_ms from read_parquet($offline)
            where epoch_ms(window_start) + 60000 <= $until
        ),
        judged as (
            select l.key is not null as late, h.rows = t.rows and abs(h.average - t.average) < 1e-9
                   and h.lowest = t.lowest and h.highest = t.highest as equal
            from held h left join theirs t using (key, start_ms)
            left join late l using (key, start_ms)
        )
        select count(*) filter (where equal), count(*) filter (where late and equal is not true),
               count(*) filter (where not late and equal is not true)
        from judged
        """,
        {"offline": str(offline), "until": (until - EPOCH) // timedelta(milliseconds=1)},
    ).fetchall()
    return found

"""What a check of parity reads: rows, results, batches, and how far all of it is there.

Belongs here: the two sides, their tables as Arrow, which windows are settled. Does not belong here:
comparing them (`parity.py`, `parity.sql`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from de_stack import partitions
from de_stack.flow import commits
from de_stack.flow.bronze import bronze
from de_stack.flow.continuous.topic_sink import BATCH_HEADER
from de_stack.flow.ledger import Ledger
from de_stack.resources.kafka import Kafka
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa

    from de_stack.contracts import Stream
    from de_stack.flow.continuous.batches import History
    from de_stack.flow.continuous.query import Query
    from de_stack.flow.gold import Gold
    from de_stack.settings import Settings

_US = timedelta(microseconds=1)
# The last message that landed is one of so many: there are no gaps but those of transactions.
_LAST_ROWS = 1000
_MOST_ROWS = 300_000
_VALUES = ("average", "lowest", "highest", "rows")


@dataclass(frozen=True)
class Sides:
    """The two sides: a query with the stream of its results, and the batch path's table.

    `value` is the field that is averaged; the results' fields and the table's columns have the
    names of `result`: window, key, start, end, average, lowest, highest, rows.
    """

    query: Query
    results: Stream
    gold: Gold
    value: str
    result: tuple[str, str, str, str, str, str, str, str]


def settled(settings: Settings, sides: Sides, history: History) -> dict[int, int]:
    """Per partition of the results, the time (microseconds) up to which all its windows landed."""
    ledger, lake = Ledger(settings), Lake(settings)
    ticks, results = bronze(settings, sides.query.reads), bronze(settings, sides.results)
    # The topic's end first: what lands in between must not be missed below.
    state = Kafka(settings).topic_state(settings.names.topic(*sides.results.topic))
    version = commits.reconcile(lake, ledger, results)
    commits.reconcile(lake, ledger, ticks)
    landed, there = ledger.landed(results.table_id), ledger.landed(ticks.table_id)
    if state is None or landed is None or there is None:
        return {}
    if (there.topic_id, landed.topic_id) != (history.topic_id, state.topic_id):
        return {}
    # Batches whose rows have all landed.
    whole = [
        b for b in history.batches if all(there.offsets.get(p, 0) >= e for p, e in b.ends.items())
    ]
    if not whole:
        return {}
    found: dict[int, int] = {}
    for partition, end in state.end.items():
        have = landed.offsets.get(partition, 0)
        known = whole
        if have < end:
            rows = lake.query(
                results.uri,
                f"select headers from t where topic_id = '{_quoted(state.topic_id)}' "
                f'and partition = {partition} and "offset" >= {have - _LAST_ROWS} '
                f'and "offset" < {have} order by "offset" desc limit 1',
                version,
            )
            number = _batch_of(rows, history.query_id)
            # The batch of the last message may have sent more; those before it have sent all.
            known = [b for b in whole if number is not None and b.number < number]
        if not known:
            return {}
        found[partition] = known[-1].watermark_ms * 1000
    return found


def _batch_of(rows: pa.Table, query_id: str) -> int | None:
    for row in rows.to_pylist():
        for header in row["headers"]:
            if header["key"] == BATCH_HEADER:
                who, _, number = header["value"].decode().partition("/")
                return int(number) if who == query_id else None
    return None


def spans(
    settings: Settings, sides: Sides, first: datetime, last: datetime
) -> list[tuple[datetime, datetime]]:
    """The event periods first..last in parts that are compared in one go: first and last of each.

    Of so many rows, not of so many periods: three years of daily rows have 26,000 hours, and each
    part costs a look at three tables.
    """
    stream, size = sides.query.reads, 0
    starts = [first]
    rows = Ledger(settings).rows_by_hour(bronze(settings, stream).table_id, first, last)
    for period, count in rows.items():
        if size and size + count > _MOST_ROWS:
            starts.append(period)
            size = 0
        size += count
    ends = [partitions.after(start, stream.grain, -1) for start in starts[1:]]
    return list(zip(starts, [*ends, last], strict=True))


def tables_of(
    settings: Settings, sides: Sides, history: History, span: tuple[datetime, datetime]
) -> tuple[dict[str, pa.Table] | None, Callable[[datetime], bool]]:
    """What the statement reads for some event periods, first and last.

    Beside it, by the end of a window, whether the batch path has still to compute it anew.
    """
    import pyarrow as pa

    lake, ledger, stream = Lake(settings), Ledger(settings), sides.query.reads
    window, key, begin, end, *values = sides.result
    ticks, results = bronze(settings, stream), bronze(settings, sides.results)
    gold = sides.gold.table(settings)
    versions = [commits.reconcile(lake, ledger, t) for t in (ticks, results, gold)]
    if min(versions[:2]) < 0:
        return None, lambda _: False
    start, past = span[0], partitions.after(span[1], stream.grain)
    longest = max(size.length for size in stream.windows)
    of_key, of_value = f"record['{stream.key[0]}']", f"record['{sides.value}']"
    found = {
        "ticks": lake.query(
            ticks.uri,
            f"select case when topic_id = '{_quoted(history.topic_id)}' then partition else -1 "
            f'end::integer as partition, "offset", event_id, event_hour, broker_time, '
            f"{of_key} as key, event_time as at, {of_value} as value from t where error is null "
            f"and event_time >= {_sql_time(start - longest)} and event_time < {_sql_time(past)}",
            versions[0],
        ),
        "messages": lake.query(
            results.uri,
            f"select record['{window}'] as window_name, record['{key}'] as key, "
            f"record['{begin}'] as window_start, record['{end}'] as window_end, "
            + ", ".join(f"record['{v}'] as {n}" for v, n in zip(values, _VALUES, strict=True))
            + ", partition, headers from t where error is null "
            f"and event_time >= {_sql_time(start)} and event_time < {_sql_time(past)}",
            versions[1],
        ),
        "ends": ends_of(history),
        "windows": pa.table(
            {
                "window_name": [w.name for w in stream.windows],
                "length_us": [w.length // _US for w in stream.windows],
                "slide_us": [w.slide // _US for w in stream.windows],
            }
        ),
    }
    columns = ", ".join(f'"{v}" as {n}' for v, n in zip(values, _VALUES, strict=True))
    if versions[2] < 0:
        empty = (
            found["messages"].select(["window_name", "key", "window_start", *_VALUES]).slice(0, 0)
        )
        return found | {"held": empty}, lambda _: True
    found["held"] = lake.query(
        gold.uri,
        f'select "{window}" as window_name, "{key}" as key, "{begin}" as window_start, {columns} '
        f"from t where event_hour >= {_sql_time(start)} and event_hour < {_sql_time(past)}",
        versions[2],
    )
    behind = _behind(settings, sides)
    return found, lambda end: partitions.floor(end, stream.grain) in behind


def _behind(settings: Settings, sides: Sides) -> set[datetime]:
    """Event periods that the batch path has still to compute anew, its sources' too."""
    names, ledger, stream = settings.names, Ledger(settings), sides.query.reads
    silver = names.table_id(stream.domain, "silver", stream.entity)
    source = bronze(settings, stream).table_id
    lags = [
        *ledger.lagging(silver, source, stream.grain, None),
        *ledger.lagging(sides.gold.table(settings).table_id, silver, stream.grain, None),
    ]
    # A row of a period may lie in a window that ends in the next.
    hours = {lag.event_hour for lag in lags}
    return hours | {partitions.after(hour, stream.grain) for hour in hours}


def ends_of(history: History) -> pa.Table:
    """In which batch an offset lies, and up to which end of windows its row was late there."""
    import pyarrow as pa

    rows: dict[tuple[int, int], tuple[int, int]] = {}
    first = history.batches[0]
    # Of the rows before the first batch, or before the first that is still known, nothing is known.
    known = history.starts if first.number == 0 else first.ends
    for partition, end in known.items():
        rows[(partition, end)] = (-1, 0)
    late_ms = 0 if first.number == 0 else first.watermark_ms
    for batch in history.batches if first.number == 0 else history.batches[1:]:
        for partition, end in batch.ends.items():
            # Batches without rows have the end of the one before.
            rows.setdefault((partition, end), (batch.number, late_ms * 1000))
        late_ms = batch.watermark_ms
    return pa.table(
        {
            "partition": pa.array([p for p, _ in rows], pa.int32()),
            "end": pa.array([e for _, e in rows], pa.int64()),
            "batch_id": pa.array([n for n, _ in rows.values()], pa.int64()),
            "late_us": pa.array([late for _, late in rows.values()], pa.int64()),
        }
    )


def settled_table(until: dict[int, int]) -> pa.Table:
    """What `settled` found, as the statement reads it."""
    import pyarrow as pa

    return pa.table(
        {
            "partition": pa.array(list(until), pa.int32()),
            "until_us": pa.array(list(until.values()), pa.int64()),
        }
    )


def _sql_time(moment: datetime) -> str:
    return f"to_timestamp('{moment:%Y-%m-%dT%H:%M:%S.%fZ}')"


def _quoted(text: str) -> str:
    return text.replace("'", "''")

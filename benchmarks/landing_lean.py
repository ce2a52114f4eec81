"""The lean peer of landing: one Python process, confluent-kafka + msgspec + pyarrow + deltalake.

Belongs here: the shortest loop that makes our bronze's columns and rejects, and the bare drain.
Does not belong here: anything that makes it safe (slices, ledger, fences): it has none.

Run as `python -m benchmarks.landing_lean drain|land BOOTSTRAP TOPIC TOPIC_ID TABLE`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from benchmarks.landing_topic import drain, say
from benchmarks.measuring import cpu

Text = Annotated[str, Meta(min_length=1, max_length=128)]
UTC_US = pa.timestamp("us", "UTC")
HEADERS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))
RECORD = pa.struct(
    [
        ("source_id", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("measured_at", UTC_US),
    ]
)


class Measure(msgspec.Struct, gc=False):
    source_id: Text
    metric: Text
    value: Annotated[float, Meta(ge=-1e12, le=1e12)]
    measured_at: Annotated[datetime, Meta(tz=True)]


NAMES = (b'"source_id"', b'"metric"', b'"value"', b'"measured_at"')
COMMIT_ROWS = 500_000


def batches(bootstrap: str, topic: str, topic_id: str) -> Iterator[pa.RecordBatch]:
    """Rows of bronze; the few bad messages get their reason from the project's decoder."""
    from de_stack.contracts import load_stream
    from de_stack.contracts.decode import decoder_for

    stream = load_stream("telemetry.measures")
    explain, parse = decoder_for(stream), msgspec.json.Decoder(Measure).decode
    low, future = stream.history_start, stream.max_future
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for messages in drain(bootstrap, topic):
        values = [m.value() for m in messages]
        stamps = [m.timestamp()[1] for m in messages]
        high = epoch + timedelta(milliseconds=min(stamps)) + future
        headers = [m.headers() or [] for m in messages]
        records: list[Measure | None] = []
        errors: list[str | None] = []
        for row, value in enumerate(values):
            try:
                record = parse(value)
                if (
                    value.isascii()
                    and b"\\" not in value
                    and low <= record.measured_at <= high
                    and value.count(NAMES[0]) == 1
                    and value.count(NAMES[1]) == 1
                    and value.count(NAMES[2]) == 1
                    and value.count(NAMES[3]) == 1
                ):
                    records.append(record)
                    errors.append(None)
                    continue
            except (msgspec.DecodeError, TypeError):
                pass
            outcome = explain(value, epoch + timedelta(milliseconds=stamps[row]))
            records.append(Measure(**outcome.record) if outcome.record else None)
            errors.append(outcome.error)
        yield _rows(
            messages, topic, topic_id, stream.version, values, stamps, headers, records, errors
        )


def _rows(
    messages: list[Any],
    topic: str,
    topic_id: str,
    version: str,
    values: list[bytes | None],
    stamps: list[int],
    headers: list[list[tuple[str, bytes]]],
    records: list[Measure | None],
    errors: list[str | None],
) -> pa.RecordBatch:
    n = len(messages)
    partition = [m.partition() for m in messages]
    offset = [m.offset() for m in messages]
    broker = pa.array(stamps, pa.int64()).cast(pa.timestamp("ms", "UTC")).cast(UTC_US)
    times = pa.array([r and r.measured_at for r in records], UTC_US)
    ids = [
        h[0][1].decode() if h and h[0][0] == "ce_id" else f"{topic_id}:{p}:{o}"
        for h, p, o in zip(headers, partition, offset, strict=True)
    ]
    flat = [header for row in headers for header in row]
    ends = [0]
    for row in headers:
        ends.append(ends[-1] + len(row))
    pairs = pa.StructArray.from_arrays(
        [pa.array([k for k, _ in flat], pa.string()), pa.array([v for _, v in flat], pa.binary())],
        fields=list(HEADERS.value_type),
    )
    record = pa.StructArray.from_arrays(
        [
            pa.array([r and r.source_id for r in records], pa.string()),
            pa.array([r and r.metric for r in records], pa.string()),
            pa.array([None if r is None else r.value for r in records], pa.float64()),
            times,
        ],
        fields=list(RECORD),
        mask=pa.array([r is None for r in records]),
    )
    columns = {
        "topic": pa.repeat(topic, n),
        "topic_id": pa.repeat(topic_id, n),
        "partition": pa.array(partition, pa.int32()),
        "offset": pa.array(offset, pa.int64()),
        "broker_time": broker,
        "ingest_hour": _hour(broker),
        "event_id": pa.array(ids, pa.string()),
        "event_time": times,
        "event_hour": _hour(times),
        "error": pa.array(errors, pa.string()),
        "contract_version": pa.repeat(version, n),
        "key": pa.array([m.key() for m in messages], pa.binary()),
        "headers": pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pairs),
        "value": pa.array(values, pa.binary()),
        "record": record,
        "ingest_date": broker.cast(pa.date32()),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _hour(times: Any) -> Any:
    # Arrow makes its functions at run time: pyright knows none of them.
    return pc.floor_temporal(times, unit="hour")  # type: ignore[attr-defined]


def land(bootstrap: str, topic: str, topic_id: str, table: str) -> dict[str, float]:
    from deltalake import write_deltalake

    from de_stack.flow.tables import BRONZE_STATS

    parts: dict[str, float] = {"write and commit": 0.0, "fetch and decode": 0.0}
    stats = {"delta.dataSkippingStatsColumns": ",".join(BRONZE_STATS)}
    held: list[pa.RecordBatch] = []

    def write() -> None:
        began = time.perf_counter()
        write_deltalake(
            table,
            pa.Table.from_batches(held),
            partition_by=["ingest_date"],
            mode="append",
            configuration=stats,
        )
        held.clear()
        parts["write and commit"] += time.perf_counter() - began

    began = time.perf_counter()
    for batch in batches(bootstrap, topic, topic_id):
        held.append(batch)
        if sum(b.num_rows for b in held) >= COMMIT_ROWS:
            write()
    if held:
        write()
    parts["fetch and decode"] = time.perf_counter() - began - parts["write and commit"]
    return parts


def main() -> None:
    what, bootstrap, topic, topic_id, table = sys.argv[1:]
    import deltalake  # noqa: F401  # imported before the clock starts, as ours is

    began, used = time.perf_counter(), cpu(os.getpid())
    parts: dict[str, float] = {}
    if what == "drain":
        size = sum(len(m.value() or b"") for batch in drain(bootstrap, topic) for m in batch)
        parts = {"MB": size / 1e6}
    else:
        parts = land(bootstrap, topic, topic_id, table)
    say(seconds=time.perf_counter() - began, cpu=cpu(os.getpid()) - used, parts=parts)


if __name__ == "__main__":
    main()

"""Kafka rows -> bronze rows, inside Spark.

Belongs here: the function that Spark's Python workers run. Does not belong here: the decoder itself
(`contracts.decode`), the bronze table (`bronze.py`), reading Kafka, writing Delta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from de_stack.contracts.decode import decoder_for
from de_stack.flow.bronze import HEADERS, record_fields
from de_stack.flow.letters import REPLAY_OF

if TYPE_CHECKING:
    import pyarrow as pa

    from de_stack.contracts import Stream


def decoded_ddl(stream: Stream) -> str:
    """Columns that leave the Python workers."""
    return (
        "partition INT, `offset` BIGINT, broker_time TIMESTAMP, event_id STRING, "
        f"event_time TIMESTAMP, error STRING, key BINARY, headers {HEADERS}, value BINARY, "
        f"record STRUCT<{record_fields(stream)}>"
    )


def decode_batches(
    stream: Stream, topic_id: str
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For `mapInArrow`: strict decoding of each message, with an event id for each row.

    The id is the producer's (contract `eventId`); a row without one is identified by where it lies,
    so that nothing is ever merged by accident. A replay lies where the letter that it repeats does.

    On a topic that carries its producers' clocks a stamp may be anything, or -1 for none. One that
    is before the history or after now (and the skew that the contract allows) is no time of
    receipt: the time of this reading stands in for it.
    """
    by_value()
    now = datetime.now(UTC)
    believed = (stream.history_start, now + stream.max_future)

    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        one = decoder_for(stream)
        kind, _, id_name = stream.event_id.partition(":")
        types = _arrow_types()
        fields = [pa.field(f.name, types[f.type]) for f in stream.fields]
        for batch in batches:
            columns = {n: batch.column(n) for n in batch.schema.names}
            broker = _received(columns["timestamp"], *believed, now)
            outcome = [
                one(value, received)
                for value, received in zip(
                    columns["value"].to_pylist(), broker.to_pylist(), strict=True
                )
            ]
            records = [o.record for o in outcome]
            headers = columns["headers"].to_pylist()
            given = (
                [_header(h, id_name) for h in headers]
                if kind == "header"
                else [_field_id(r, id_name) for r in records]
            )
            parts, offsets = (
                columns["partition"].to_pylist(),
                columns["offset"].to_pylist(),
            )
            ids = [
                i or _header(h, REPLAY_OF) or f"{topic_id}:{p}:{o}"
                for i, h, p, o in zip(given, headers, parts, offsets, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(
                [
                    columns["partition"],
                    columns["offset"],
                    broker,
                    pa.array(ids, pa.string()),
                    pa.array(
                        [r and r[stream.event_time] for r in records],
                        pa.timestamp("us", "UTC"),
                    ),
                    pa.array([o.error for o in outcome], pa.string()),
                    columns["key"],
                    columns["headers"],
                    columns["value"],
                    pa.array(records, pa.struct(fields)),
                ],
                names=[
                    "partition",
                    "offset",
                    "broker_time",
                    "event_id",
                    "event_time",
                    "error",
                    "key",
                    "headers",
                    "value",
                    "record",
                ],
            )

    return decode


def _received(stamps: pa.Array, first: datetime, last: datetime, otherwise: datetime) -> pa.Array:
    """Stamps from first to last; another time in the place of the others, years past 9999 too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = pa.timestamp("us", tz="UTC")
    given = stamps.cast(kind)
    low, high, instead = (pa.scalar(moment, kind) for moment in (first, last, otherwise))
    # Arrow's functions are made at run time: pyright knows none of them.
    is_believed = pc.and_(pc.greater_equal(given, low), pc.less_equal(given, high))  # type: ignore
    return pc.if_else(is_believed, given, instead)  # type: ignore


def _header(headers: list[dict[str, bytes | str]] | None, name: str) -> str | None:
    for header in headers or []:
        if header["key"] == name and isinstance(header["value"], bytes):
            try:
                return header["value"].decode() or None
            except UnicodeDecodeError:
                # With replacement characters two different ids could become one.
                return None
    return None


def _field_id(record: dict[str, Any] | None, name: str) -> str | None:
    given = None if record is None else record[name]
    return None if given is None else str(given)


def _arrow_types() -> dict[str, pa.DataType]:
    import pyarrow as pa

    return {
        "string": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us", "UTC"),
        "date": pa.date32(),
    }


def by_value() -> None:
    """Send our decoder to the workers with the job: they need msgspec and pyarrow, not us.

    It also keeps a warm server from decoding with the code of yesterday.
    """
    from pyspark import cloudpickle

    from de_stack import naming
    from de_stack.contracts import decode, message, model, strict
    from de_stack.flow import decoding

    for module in (naming, model, message, strict, decode, decoding):
        cloudpickle.register_pickle_by_value(module)

"""Kafka rows -> bronze rows, inside Spark.

Belongs here: the function that Spark's Python workers run. Does not belong here: the decoder itself
(`contracts.decode`, for many messages `contracts.columns`), the bronze table (`bronze.py`), reading
Kafka, writing Delta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from de_stack.contracts.columns import Columns, columns_for, kernels
from de_stack.contracts.envelope import REJECTED
from de_stack.contracts.normalise import Normalise, normaliser_for
from de_stack.flow.bronze import HEADERS, record_fields
from de_stack.flow.letters import REPLAY_OF

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from de_stack.contracts import Stream


def decoded(messages: DataFrame, stream: Stream, topic_id: str) -> DataFrame:
    """Messages of one topic, a stream or a table of them, as `decoded_ddl` has them.

    Args:
        messages: `partition, offset, timestamp, key, headers, value`, as Kafka's source gives them:
            its headers are null where a message has none, and never an empty list.
        stream: the contract.
        topic_id: as the broker has it.
    """
    from pyspark.sql import functions as f

    # After each row Spark asks how large its Arrow batch is, and a list column answers by writing
    # all places after its last list that is not null: without a header in the topic the square of
    # the batch. 100,000 such rows took 0.6 s to Python and back, empty lists take 0.25.
    lists = messages.withColumn("headers", f.expr(f"coalesce(headers, cast(array() as {HEADERS}))"))
    found = lists.mapInArrow(decode_batches(stream, topic_id), decoded_ddl(stream))
    return found.withColumn("headers", f.when(f.size("headers") > 0, f.col("headers")))


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

    A message that its source has refused (`REJECTED`) is a bad one, for the reason that the source
    gave, as long as the contract is the one that refused it; with another one the decoder judges,
    and takes it for what the door would take it for (`contracts.normalise`).

    On a topic that carries its producers' clocks a stamp may be anything, or -1 for none. One that
    is before the history or after now (and the skew that the contract allows) is no time of
    receipt: the time of this reading stands in for it.
    """
    by_value()

    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        # The time of each batch: a continuous query uses this function for weeks.
        now = datetime.now(UTC)
        believed = (stream.history_start, now + stream.max_future)
        columns, normalise = columns_for(stream), normaliser_for(stream)
        for batch in batches:
            broker = _received(batch.column("timestamp"), *believed, now)
            headers = batch.column("headers")
            values = _meant(normalise, batch.column("value"), headers)
            decoded = _judged(stream, columns(values, broker), headers)
            made = {
                "partition": batch.column("partition"),
                "offset": batch.column("offset"),
                "broker_time": broker,
                "event_id": _event_ids(stream, topic_id, batch, decoded.record),
                "event_time": decoded.event_time,
                "error": decoded.error,
                "key": batch.column("key"),
                "headers": headers,
                "value": batch.column("value"),
                "record": decoded.record,
            }
            yield pa.RecordBatch.from_arrays(list(made.values()), names=list(made))

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


def _meant(normalise: Normalise, values: pa.Array, headers: pa.Array) -> pa.Array:
    """The messages as they are to be judged: other bytes only for what the door has refused."""
    import pyarrow as pa

    if not _is_any_refused(headers):
        return values
    refused = _header(headers, REJECTED).is_valid().to_pylist()
    pairs = zip(values.to_pylist(), refused, strict=True)
    meant = [(at and v is not None and normalise(v)) or v for v, at in pairs]
    return pa.array(meant, values.type)


def _is_any_refused(headers: pa.Array) -> bool:
    """A look at all names together: of good messages no more is asked."""
    import pyarrow as pa

    if pa.types.is_null(headers.type):
        return False
    pc = kernels()
    return bool(pc.any(pc.equal(pc.struct_field(headers.flatten(), "key"), REJECTED)).as_py())


def _judged(stream: Stream, decoded: Columns, headers: pa.Array) -> Columns:
    """What was decoded, less what its source has refused with this contract."""
    import pyarrow as pa

    if not _is_any_refused(headers):
        return decoded
    pc = kernels()
    said, version = _header(headers, REJECTED), f"{stream.version} "
    refused = pc.fill_null(pc.starts_with(said, version), fill_value=False)
    error = pc.if_else(refused, pc.utf8_slice_codeunits(said, len(version)), decoded.error)
    times = decoded.event_time
    wrong, fields = error.is_valid(), list(decoded.record.type)
    # Not `flatten`: it would put nulls where the struct has them, and the ids are read from there.
    arrays = [decoded.record.field(n) for n in range(len(fields))]
    return Columns(
        pa.StructArray.from_arrays(arrays, fields=fields, mask=wrong),
        pc.if_else(wrong, pa.scalar(None, times.type), times),
        error,
    )


def _event_ids(
    stream: Stream, topic_id: str, batch: pa.RecordBatch, record: pa.StructArray
) -> pa.Array:
    import pyarrow as pa

    pc = kernels()
    kind, _, name = stream.event_id.partition(":")
    headers = batch.column("headers")
    if kind == "header":
        ids = _header(headers, name)
    else:
        given = pc.struct_field(record, name).to_pylist()
        ids = pa.array([None if g is None else str(g) or None for g in given], pa.string())
    if ids.null_count:
        ids = pc.coalesce(ids, _header(headers, REPLAY_OF))
    if ids.null_count:
        place = [batch.column(n).cast(pa.string()) for n in ("partition", "offset")]
        ids = pc.coalesce(ids, pc.binary_join_element_wise(topic_id, *place, ":"))
    return ids


def _header(headers: pa.Array, name: str) -> pa.Array:
    """Per row the text of the first header of a name that has a value; null for an empty one."""
    import pyarrow as pa

    pc = kernels()
    if pa.types.is_null(headers.type):
        return pa.nulls(len(headers), pa.string())
    flat = headers.flatten()
    values = pc.struct_field(flat, "value")
    hit = pc.and_(pc.equal(pc.struct_field(flat, "key"), name), pc.is_valid(values))
    found = pc.indices_nonzero(pc.fill_null(hit, fill_value=False)).to_numpy()
    rows = pc.list_parent_indices(headers).to_numpy()[found]
    if len(rows) == len(headers) and (rows[1:] > rows[:-1]).all():
        texts = _texts(values.take(pa.array(found)))
    else:
        first = dict(zip(reversed(rows.tolist()), reversed(found.tolist()), strict=True))
        places = pa.array([first.get(row) for row in range(len(headers))], pa.int64())
        texts = _texts(values.take(places))
    return pc.if_else(pc.equal(pc.binary_length(texts), 0), pa.scalar(None, pa.string()), texts)


def _texts(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_text(v) for v in values.to_pylist()], pa.string())


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        # With replacement characters two different ids could become one.
        return None


def by_value() -> None:
    """Send our decoder to the workers with the job: they need msgspec and pyarrow, not us.

    It also keeps a warm server from decoding with the code of yesterday.
    """
    from pyspark import cloudpickle

    from de_stack import naming
    from de_stack.contracts import (
        columns,
        csv_line,
        decode,
        message,
        model,
        normalise,
        spans,
        strict,
        times,
    )
    from de_stack.flow import decoding

    judging = (naming, model, message, strict, times, csv_line, decode, columns, spans, normalise)
    for module in (*judging, decoding):
        cloudpickle.register_pickle_by_value(module)

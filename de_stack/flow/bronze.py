"""The bronze table of a stream: every message as it came, and decoded.

Belongs here: its columns and their order, its place. Does not belong here: decoding
(`decoding.py`), landing (`land.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_stack.contracts.schemas import spark_ddl
from de_stack.flow import tables
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.settings import Settings

HEADERS = "ARRAY<STRUCT<key: STRING, value: BINARY>>"
# (name, Spark type, description), `record` and `ingest_date` following. Event columns stand before
# `record`, which grows with the contract.
BRONZE = (
    ("topic", "STRING", "Topic that the message came from"),
    ("topic_id", "STRING", "Id of that topic: another one after it was made anew"),
    ("partition", "INT", "Kafka partition"),
    ("offset", "BIGINT", "Kafka offset"),
    (
        "broker_time",
        "TIMESTAMP",
        "When the broker took the message; when it landed, where the broker's stamp cannot be true",
    ),
    ("ingest_hour", "TIMESTAMP", "Period of the broker time"),
    (
        "event_id",
        "STRING",
        "Identity: the producer's id, else topic id, partition, offset",
    ),
    ("event_time", "TIMESTAMP", "When it happened; null for a bad message"),
    ("event_hour", "TIMESTAMP", "Period of the event time"),
    (
        "error",
        "STRING",
        "code:field: reason of a bad message, null where the contract holds",
    ),
    ("contract_version", "STRING", "Contract that it was decoded with"),
    ("key", "BINARY", "Kafka key"),
    ("headers", HEADERS, "Kafka headers"),
    ("value", "BINARY", "The message as it came"),
)


def bronze_columns(stream: Stream) -> list[tuple[str, str, str]]:
    """All columns of a bronze table with their meaning."""
    record = f"STRUCT<{record_fields(stream)}>"
    return [
        *BRONZE,
        ("record", record, "The message, typed by the contract; null for a bad one"),
        ("ingest_date", "DATE", "Date of the broker time; the table's folders"),
    ]


def bronze_ddl(stream: Stream) -> str:
    """Columns of a bronze table for Spark."""
    return ", ".join(f"`{name}` {kind}" for name, kind, _ in bronze_columns(stream))


def record_fields(stream: Stream) -> str:
    """The record's columns as Spark writes them in a STRUCT."""
    return spark_ddl(stream).replace("` ", "`: ")


def bronze(settings: Settings, stream: Stream) -> tables.Table:
    """The bronze table of a stream."""
    return tables.Table(
        settings.names.table_id(stream.domain, "bronze", stream.entity),
        Lake(settings).uri(stream.domain, "bronze", stream.entity),
        bronze_ddl(stream),
        "ingest_date",
        tables.BRONZE_STATS,
        stream.grain,
    )

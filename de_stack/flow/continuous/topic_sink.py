"""A batch -> messages of a topic: at least once, and each message says which one it is.

Belongs here: key, headers and JSON of a result. Does not belong here: the topic's contract, the
reader who takes a message that came twice for one (silver: one row per event id).

Spark's writer acknowledges a batch when the brokers have all of it. A crash before the checkpoint
says so sends the same rows again: the same key, id and bytes, but at other offsets. Kafka as a sink
of Spark can do no better; its reader can, by the id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_stack.resources.kafka import spark_options

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from de_stack.contracts import Stream
    from de_stack.flow.continuous.query import Batch, Mode
    from de_stack.settings import Settings

# In which batch a message was made: the check of parity orders by it.
BATCH_HEADER = "de_stack_batch"
_SOURCE = "de_stack/streaming"
# As the strict decoder reads times: RFC 3339, to the microsecond.
_TIME = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"


@dataclass(frozen=True)
class TopicSink:
    """Results as messages of a stream; `identity` are the fields that make an event's id."""

    stream: Stream
    identity: tuple[str, ...]
    modes: frozenset[Mode] = frozenset(("append", "update"))

    @property
    def takes(self) -> list[str]:
        """The fields of the stream."""
        return [field.name for field in self.stream.fields]

    def target(self, settings: Settings) -> str:
        """`kafka stocks.averages.v1`."""
        return f"kafka {settings.names.topic(*self.stream.topic)}"

    def prepare(self, settings: Settings, session: SparkSession) -> None:
        """The topic is made with all others, by `up` and `init`."""

    def shaped(self, rows: DataFrame) -> DataFrame:
        """Key, JSON and the headers that say what it is; `write` adds which batch made it."""
        from pyspark.sql import functions as f

        said = {
            "ce_specversion": f.lit("1.0"),
            "ce_id": _joined(rows, self.identity),
            "ce_source": f.lit(_SOURCE),
            "ce_type": f.lit(self.stream.name),
            "ce_time": _text(rows, self.stream.event_time),
            "content-type": f.lit("application/json"),
        }
        message = f.struct(*(f.col(n.name).alias(n.path[0]) for n in self.stream.fields))
        return rows.select(
            _joined(rows, self.stream.key).alias("key"),
            f.to_json(message, {"timestampFormat": _TIME}).alias("value"),
            f.array(*(_header(n, v) for n, v in said.items())).alias("headers"),
        )

    def write(self, settings: Settings, rows: DataFrame, batch: Batch) -> int | None:
        """Send; returns when the brokers have all of it. Errors: Spark's own."""
        from pyspark.sql import functions as f

        made_by = _header(BATCH_HEADER, f.lit(f"{batch.query_id}/{batch.number}"))
        (
            rows.withColumn("headers", f.concat("headers", f.array(made_by)))
            .write.format("kafka")
            .options(**_producer_options(settings))
            .option("topic", settings.names.topic(*self.stream.topic))
            .option("includeHeaders", "true")
            .save()
        )
        return None


def _producer_options(settings: Settings) -> dict[str, str]:
    consumers = ("isolation.level", "fetch.", "max.partition", "max.poll", "receive.")
    options = {
        name: value
        for name, value in spark_options(settings).items()
        if not name.removeprefix("kafka.").startswith(consumers)
    }
    return options | {"kafka.acks": "all", "kafka.enable.idempotence": "true"}


def _header(name: str, value: Column) -> Column:
    from pyspark.sql import functions as f

    return f.struct(f.lit(name).alias("key"), value.cast("binary").alias("value"))


def _joined(rows: DataFrame, names: tuple[str, ...]) -> Column:
    from pyspark.sql import functions as f

    return f.concat_ws("/", *(_text(rows, name) for name in names))


def _text(rows: DataFrame, name: str) -> Column:
    """A value as the id has it: times to the microsecond, in UTC."""
    from pyspark.sql import functions as f

    is_time = rows.schema[name].dataType.typeName() == "timestamp"
    return f.date_format(name, _TIME) if is_time else f.col(name).cast("string")

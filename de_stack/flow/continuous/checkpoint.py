"""A query's checkpoint, as Spark writes it: which rows each batch has, how far the watermark was.

Belongs here: reading the offset log, taking a checkpoint out of the way. Does not belong here:
writing any of it (Spark does), what follows from it (`batches.py`, `parity.py`).

The files are read through Hadoop, as Spark writes them: a folder here, an object store elsewhere.
The form is Spark's `OffsetSeqLog`, version 1: a line `v1`, a line of JSON about the batch, and a
line per source; that of Kafka is JSON of topic, partition and end offset. Spark keeps the newest
hundred batches (`spark.sql.streaming.minBatchesToRetain`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Planned:
    """What Spark has written down before it ran a batch.

    `watermark_ms`: no window that ends by then gets rows in the *next* batch; milliseconds since
    1970. `ends`: per partition the offset after the last row.
    """

    number: int
    watermark_ms: int
    ends: dict[int, int]


class Checkpoint:
    """The folder of one query."""

    def __init__(self, session: SparkSession, uri: str) -> None:
        self._session, self.uri = session, uri

    def query_id(self) -> str | None:
        """Spark's id of the query; None before its first start."""
        text = self._read("metadata")
        return None if text is None else json.loads(text)["id"]

    def planned(self, number: int) -> Planned:
        """What a batch is made of.

        Raises:
            PermanentFailure: there is no such batch, or it is written in another form.
        """
        text, tried = self._read(f"offsets/{number}"), f"read batch {number} of {self.uri}"
        if text is None:
            raise PermanentFailure(tried, "Spark has written no such batch", page="stream-query")
        try:
            form, about, *sources = text.splitlines()
            watermark = json.loads(about)["batchWatermarkMs"]
            found = [json.loads(line) for line in sources if line != "-"]
            (ends,) = found[0].values() if found else ({},)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            got = f"not as Spark 4 writes it: {error!r}: {text[:300]!r}"
            raise PermanentFailure(tried, got, page="stream-query") from error
        # All branches of a query read the same topic, one line for each.
        if form != "v1" or any(list(other.values()) != [ends] for other in found[1:]):
            raise PermanentFailure(tried, f"not as expected: {text[:300]!r}", page="stream-query")
        return Planned(number, int(watermark), {int(p): int(o) for p, o in ends.items()})

    def move_away(self, suffix: str) -> str | None:
        """Out of the way of a query that begins anew; its new place, None where there was none."""
        path, files = self._path(""), self._files()
        if not files.exists(path):
            return None
        target = f"{self.uri}.{suffix}"
        if not files.rename(path, self._hadoop().Path(target)):
            tried = f"move {self.uri} out of the way"
            raise PermanentFailure(tried, f"the file system refused {target}", page="stream-query")
        return target

    def _read(self, name: str) -> str | None:
        path, files = self._path(name), self._files()
        if not files.exists(path):
            return None
        stream = files.open(path)
        try:
            return self._jvm().org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
        finally:
            stream.close()

    def _jvm(self) -> Any:
        # PySpark has no other way to Hadoop's file systems.
        return self._session._jvm  # noqa: SLF001

    def _hadoop(self) -> Any:
        return self._jvm().org.apache.hadoop.fs

    def _path(self, name: str) -> Any:
        return self._hadoop().Path(f"{self.uri}/{name}" if name else self.uri)

    def _files(self) -> Any:
        context: Any = self._session._jsc  # noqa: SLF001
        return self._path("").getFileSystem(context.hadoopConfiguration())

"""What a domain says of a continuous query.

Belongs here: `Query`, `Sink` and `Batch`. Does not belong here: running one (`running.py`), any one
sink, a domain's rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from de_stack.naming import stream_name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from de_stack.contracts import Stream
    from de_stack.settings import Settings

SEEN_AT = "seen_at"
Mode = Literal["append", "update", "complete"]


@dataclass(frozen=True)
class Batch:
    """One batch of a query: a second attempt has the same numbers and the same rows.

    `query` is its name with the namespace. `query_id` is the checkpoint's: another one after the
    query was begun anew.
    """

    query: str
    query_id: str
    number: int
    mode: Mode


class Sink(Protocol):
    """Takes batches, each as one. To take one twice must not change what the reader sees."""

    @property
    def modes(self) -> frozenset[Mode]:
        """The output modes that it can take."""
        ...

    @property
    def takes(self) -> list[str]:
        """The columns of a result that it writes, in its order."""
        ...

    def target(self, settings: Settings) -> str:
        """Where it writes to, for people: `kafka stocks.averages.v1`."""
        ...

    def prepare(self, settings: Settings, session: SparkSession) -> None:
        """Make what is written to, unless there; runs at each start of the query."""
        ...

    def shaped(self, rows: DataFrame) -> DataFrame:
        """A result, of the columns `takes`, as `write` wants it: a part of the query's plan.

        Here and not in `write`, it is planned once and not for each batch.
        """
        ...

    def write(self, settings: Settings, rows: DataFrame, batch: Batch) -> int | None:
        """Write one batch of `shaped` rows; how many, where that is known without another look.

        The frame must be computed, also where the batch was written before: Spark keeps the state
        of windows on the way.

        Raises:
            TransientFailure: the system was away; nothing of the batch is there, or all of it.
            PermanentFailure: it refused the rows.
        """
        ...


@dataclass(frozen=True)
class Query:
    """A continuous query: a topic, a rule, an output mode, a sink.

    `transform` takes the good messages of the topic: `event_id, broker_time, partition, offset`,
    the contract's fields, and `seen_at`: the event time, but no later than the broker took it. The
    watermark is that of `seen_at`: one producer whose clock is ahead would make the rows of all
    others late. `shape` names what its state depends on (windows, watermark): another
    shape does not fit an old checkpoint. `is_on` says whether it runs where nobody has said
    otherwise.
    """

    domain: str
    entity: str
    reads: Stream
    transform: Callable[[DataFrame], DataFrame]
    mode: Mode
    sink: Sink
    shape: tuple[str, ...]
    description: str
    is_on: bool = True

    def __post_init__(self) -> None:
        """Refuse a mode that the sink cannot take."""
        if self.mode not in self.sink.modes:
            listed = ", ".join(sorted(self.sink.modes))
            msg = f"query {self.name}: mode {self.mode}, its sink takes {listed}"
            raise ValueError(msg)

    @property
    def name(self) -> str:
        """What people call it: `stocks.averages`."""
        return stream_name(self.domain, self.entity)

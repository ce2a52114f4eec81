"""What a contract says, as plain frozen data.

Belongs here: `Stream` and `Field`. Does not belong here: reading files (`load.py`), deriving
anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from de_stack.naming import stream_name

FieldType = Literal["string", "integer", "number", "boolean", "timestamp", "date"]
Grain = Literal["hour", "day", "month"]
Path = tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """One field of a record.

    `path` is where it sits in the message, outermost name first. Bounds are inclusive; they are
    None where the contract gives none.
    """

    name: str
    path: tuple[str, ...]
    type: FieldType
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    allowed: tuple[str, ...] = ()
    description: str = ""
    unit: str | None = None
    classification: str | None = None
    generator: dict[str, Any] | None = None


@dataclass(frozen=True)
class Envelope:
    """Another form in which senders may give the collector a record; it never reaches the topic.

    `paths` says for each field (by name) where its value may sit in the item, first choice first.
    `defaults` are the texts of fields that stand at none of their paths.
    """

    name: str
    paths: dict[str, tuple[Path, ...]]
    defaults: dict[str, str]

    def __str__(self) -> str:
        """As a list of changes shows it."""
        return self.name


@dataclass(frozen=True)
class Window:
    """Windows of event time of one size, by their name: one begins every `slide`.

    Tumbling where `slide` is `length`. Both are counted from 1970-01-01 in UTC.
    """

    name: str
    length: timedelta
    slide: timedelta

    def __str__(self) -> str:
        """As a list of changes shows it."""
        return f"{self.name} ({self.length} each {self.slide})"


class Dataset(Protocol):
    """What assets, partitions and checks need of a contract: a stream's, or that of day files.

    `look_back` is None where nothing is ever held.
    """

    @property
    def domain(self) -> str: ...  # noqa: D102
    @property
    def entity(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def owner(self) -> str: ...  # noqa: D102
    @property
    def team(self) -> str: ...  # noqa: D102
    @property
    def grain(self) -> Grain: ...  # noqa: D102
    @property
    def history_start(self) -> datetime: ...  # noqa: D102
    @property
    def look_back(self) -> timedelta | None: ...  # noqa: D102


@dataclass(frozen=True)
class Stream:
    """One stream: its records, where their identity and time come from, and what is promised.

    `key` names the fields that make the Kafka key (the entity). `event_id` is `header:<name>` or
    `field:<name>`. `max_future` is how far an event time may lie past the broker's. `error_rate` is
    the share of messages against the contract that is put up with over `error_rate_window`.
    `generator_rate` is None where nobody makes events up. `accounted_in` is the published table,
    and the column whose sum is the number of its events.
    `envelopes` are the collector's business only. `topic_version` ends the topic's name.
    `csv_line` names the field of each cell where a message may be a line of CSV instead of JSON; a
    cell of none is None. `windows` are those of its averages; `watermark` is how far behind the
    newest event time a continuous query still waits for rows. `dbt_reads` are tables computed from
    the stream that dbt may read beside silver, as `layer_entity`.
    """

    domain: str
    entity: str
    version: str
    description: str
    owner: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    event_id: str
    event_time: str
    wire_format: Literal["json"]
    partitions: int
    retention: timedelta
    freshness: timedelta
    grain: Grain
    history_start: datetime
    allowed_lateness: timedelta
    look_back: timedelta
    max_future: timedelta
    generator_rate: float | None = None
    team: str = ""
    error_rate: float = 0.01
    error_rate_window: timedelta = timedelta(days=1)
    accounted_in: tuple[str, str] = ("", "")
    envelopes: tuple[Envelope, ...] = ()
    topic_version: int | None = None
    csv_line: tuple[str | None, ...] = ()
    windows: tuple[Window, ...] = ()
    watermark: timedelta = timedelta(0)
    dbt_reads: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`domain.entity`."""
        return stream_name(self.domain, self.entity)

    @property
    def topic(self) -> tuple[str, str, int | None]:
        """What names its topic: `Names.topic(*stream.topic)`."""
        return self.domain, self.entity, self.topic_version

    def field(self, name: str) -> Field:
        """The field called `name` (the loader has checked that keys and times exist)."""
        return next(f for f in self.fields if f.name == name)

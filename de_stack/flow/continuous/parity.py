"""Does a continuous query say what the batch path says, and why not, where it does not.

Belongs here: the comparison of closed windows, from what landed and the query's own batches. Does
not belong here: Dagster's check results (`orchestration`), entering batches (`batches.py`).

A query leaves out rows of windows that have closed, so its numbers may differ from those of the
batch path, which has all rows. Which rows those are follows from the query's batches: a row lies in
the batch whose offsets it lies in, and is late for a window that ends by the watermark of the batch
before. So what the query must have given is computed, to the row. A difference between query and
batch path is explained where it comes from such rows (or from an event that the topic has twice,
which the batch path counts once), and only then.

Compared are windows that are settled: the results of all batches that close them have landed, and
so have all rows of those batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack import partitions
from de_stack.flow.continuous.batches import Batches
from de_stack.flow.continuous.parity_tables import Sides, settled, settled_table, spans, tables_of
from de_stack.flow.continuous.topic_sink import BATCH_HEADER
from de_stack.resources.duckdb_memory import ask

if TYPE_CHECKING:
    import pyarrow as pa

    from de_stack.settings import Settings

_CLOSE = 1e-9
_US = timedelta(microseconds=1)
# As far as the clocks of the ledger and the brokers may lie apart.
_CLOCKS = timedelta(minutes=10)


@dataclass
class Parity:
    """What was found.

    `wrong`: differences that nothing explains, the first in time first. `equal`: to both sides;
    `batch_path_behind`: to what its batches hold, where the batch path has still to compute the
    hour. `late`: per row (partition, offset) that was left out of a window or more, how many
    microseconds the watermark had passed its time; `late_places`: of how many windows in all.
    """

    windows: int = 0
    equal: int = 0
    batch_path_behind: int = 0
    explained_by_late_rows: int = 0
    explained_by_repeated_events: int = 0
    late: dict[tuple[int, int], int] = field(default_factory=dict)
    late_places: int = 0
    not_read_by_query: int = 0
    sent_more_than_once: int = 0
    settled_until: datetime | None = None
    wrong: list[str] = field(default_factory=list)

    @property
    def most_late_s(self) -> float:
        """Seconds of the latest row; 0 where none was late."""
        return max(self.late.values(), default=0) / 1e6


def compare(settings: Settings, sides: Sides, first: datetime, last: datetime) -> Parity:
    """Compare the settled windows that end in the event periods first..last.

    Raises:
        PermanentFailure: a log disagrees with the ledger, or a file is gone.
        TransientFailure: a system was away.
    """
    found, stream = Parity(), sides.query.reads
    name = settings.names.query(sides.query.domain, sides.query.entity)
    # Rows of these periods are in no batch that was done before, but for clocks that are ahead.
    longest = max(window.length for window in stream.windows)
    since = first - longest - stream.max_future - _CLOCKS
    history = Batches(settings, name).history(since)
    if history is None or not history.batches:
        return found
    until = settled(settings, sides, history)
    if not until:
        return found
    found.settled_until = _moment(min(until.values()))
    for start, end in spans(settings, sides, first, last):
        tables, is_behind = tables_of(settings, sides, history, (start, end))
        if tables is not None:
            span = start, partitions.after(end, stream.grain)
            judge(found, tables, until, history.query_id, span, is_behind)
    return found


def judge(
    found: Parity,
    tables: dict[str, pa.Table],
    until: dict[int, int],
    query_id: str,
    span: tuple[datetime, datetime],
    is_behind: Callable[[datetime], bool],
) -> None:
    """Enter what the tables of some event periods say.

    Args:
        found: what is known so far.
        tables: as `parity.sql` reads them, but for `settled`.
        until: per partition of the results, up to which end (microseconds) they are there.
        query_id: the checkpoint whose results count.
        span: windows that end from the one on and before the other.
        is_behind: by the end of a window, whether the batch path has still to compute it anew.
    """
    rows = ask(
        "compare a continuous query with the batch path",
        tables | {"settled": settled_table(until)},
        _sql(),
        {
            "first_us": _us(span[0]),
            "past_us": _us(span[1]),
            "all_until_us": min(until.values()),
            "query_id": query_id,
            "header": BATCH_HEADER,
        },
    )
    for row in rows.to_pylist():
        _judge(found, row, behind=is_behind(row["window_end"]))


def _judge(found: Parity, row: dict[str, Any], *, behind: bool) -> None:
    if row["unread"]:
        found.not_read_by_query += 1
        return
    found.windows += 1
    found.late_places += row["late"] or 0
    found.late |= {tuple(one["place"]): one["behind_us"] for one in row["late_rows"] or ()}
    found.sent_more_than_once += (row["messages"] or 0) > 1
    where = f"{row['window_name']} {row['key']} {row['window_start'].isoformat()}"
    if (row["versions"] or 0) > 1:
        found.wrong.append(f"{where}: the query has sent {row['versions']} different results")
        return
    expected, given, held, whole = (
        _side(row, name) for name in ("expected", "given", "held", "whole")
    )
    if not _is_equal(expected, given):
        late = f", {row['late']} late rows left out" if row["late"] else ""
        found.wrong.append(
            f"{where}: the query gave {_text(given)}, its batches hold {_text(expected)}{late}"
        )
    elif behind:
        found.batch_path_behind += 1
    elif not _is_equal(held, whole):
        found.wrong.append(
            f"{where}: the batch path holds {_text(held)}, all rows give {_text(whole)}"
        )
    elif _is_equal(given, held):
        found.equal += 1
    elif row["late"]:
        found.explained_by_late_rows += 1
    else:
        # Both are as they have to be: without a late row only events that came twice are left.
        found.explained_by_repeated_events += 1


_Side = tuple[int, float, float, float] | None


def _side(row: dict[str, Any], name: str) -> _Side:
    """Rows, average, lowest, highest; None where there is no such window."""
    if not row[f"{name}_rows"]:
        return None
    return row[f"{name}_rows"], row[name], row[f"{name}_min"], row[f"{name}_max"]


def _is_equal(one: _Side, other: _Side) -> bool:
    if one is None or other is None:
        return one is other
    return one[0] == other[0] and all(
        math.isclose(a, b, rel_tol=_CLOSE, abs_tol=_CLOSE)
        for a, b in zip(one[1:], other[1:], strict=True)
    )


def _text(side: _Side) -> str:
    if side is None:
        return "nothing"
    return f"{side[0]} rows, average {side[1]!r}, from {side[2]!r} to {side[3]!r}"


@cache
def _sql() -> str:
    return Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


def _us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=moment.tzinfo)) // _US


def _moment(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + us * _US

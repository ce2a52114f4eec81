"""Which pending periods the next run of a chain computes.

Belongs here: the range and its bounds. Does not belong here: what is pending (`flow.ledger`),
sensors (`ticks.py`).

A range reaches over holes, as long as to compute what lies in them once more costs next to nothing
and changes nothing: a file of daily rows in a stream of hours would take a run for each day
otherwise. (Seen: 13 s for a day, 33 s for 556 days with 13,000 idle hours between them.)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from de_stack import partitions
from de_stack.flow.ledger import Ledger
from de_stack.orchestration import spans

if TYPE_CHECKING:
    from de_stack.contracts import Dataset
    from de_stack.orchestration.ticks import Stage
    from de_stack.settings import Settings

# A run that hangs is ended by run monitoring; a month of backlog takes minutes.
MAX_SECONDS = "7200"
# One run takes at most this many periods of a backlog: a month of hours. With holes between them,
# they may lie this far apart.
MAX_PERIODS, _MAX_SPAN = 31 * 24, 3 * 366 * 24
# A range reaches over holes of so many periods, but over none that holds more rows than that, nor
# over one whose next row would be held: it may land while the run is on its way.
_MOST_HOLE, _FEW_ROWS = 7 * 24, 1000


def waiting_range(
    settings: Settings, stream: Dataset, stages: Sequence[Stage]
) -> dg.RunRequest | str:
    """The run for the oldest range, from the first stage that lags; or why there is none.

    Only the first stage holds old periods back.
    """
    # The oldest period goes first, whichever stage lags: the open hour is pending at every tick and
    # would keep back an older one that only the last stage has still to use.
    lags: dict[datetime, int] = {}
    held: set[datetime] = set()
    for position, stage in enumerate(stages):
        look_back = None if position else stream.look_back
        for lag in stage.lagging(settings, stream.grain, look_back):
            if lag.is_held:
                held.add(lag.event_hour)
            else:
                lags.setdefault(lag.event_hour, position)
    if not lags:
        return "no event period is pending" + (
            f"; {len(held)} are held: `de-stack late list {stream.name} --held`" if held else ""
        )
    # A held period that a later stage lags in must not be swept along by its neighbours' first
    # stage: it goes by itself.
    waiting, alone = lags.keys() - held, lags.keys() & held
    ranges = partitions.contiguous(alone, stream.grain)[:1]
    if waiting:
        stops = held | _settled(settings, stream, stages[0], min(waiting), max(waiting))
        ranges += partitions.contiguous(waiting, stream.grain, _MOST_HOLE, stops)[:1]
    first, last = min(ranges)
    last = min(last, partitions.after(first, stream.grain, _MAX_SPAN - 1))
    covered = sorted(period for period in lags if first <= period <= last)[:MAX_PERIODS]
    position = min(lags[period] for period in covered)
    # As partitions of the run only what comes before the first hole.
    head = partitions.contiguous(covered, stream.grain)[0][1]
    return dg.RunRequest(
        asset_selection=[stage.key for stage in stages[position:]],
        tags=spans.tags_for(first, head, covered[-1], stream.grain),
    )


def _settled(
    settings: Settings, stream: Dataset, stage: Stage, first: datetime, last: datetime
) -> set[datetime]:
    how = stream.grain, stream.look_back, (first, last), _FEW_ROWS
    within = timedelta(seconds=int(MAX_SECONDS))
    return set(Ledger(settings).settled(*stage.tables(settings), *how, within))

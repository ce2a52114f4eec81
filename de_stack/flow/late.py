"""Late rows by event hour, and the release of hours that are held.

Belongs here: what `de-stack late` shows and enters. Does not belong here: which hours are held
(`event_hours.py`), refining them, printing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from de_stack import partitions
from de_stack.failures import PermanentFailure
from de_stack.flow.bronze import bronze
from de_stack.flow.decisions import Decisions
from de_stack.flow.ledger import Ledger
from de_stack.flow.refine import silver

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.flow.event_hours import Lag
    from de_stack.settings import Settings

State = Literal["pending", "held", "done"]


@dataclass(frozen=True)
class LateHour:
    """An event hour with late rows, or held without: rows that landed long after they were sent.

    `most_late_s` counts from the hour's end; `touched_at` is when the newest late rows landed. It
    is done when silver has them.
    """

    event_hour: datetime
    rows: int
    late_rows: int
    most_late_s: int | None
    touched_at: datetime | None
    state: State


def late_hours(settings: Settings, stream: Stream) -> list[LateHour]:
    """Event hours of a stream with late rows, and held ones, oldest first."""
    lags = {lag.event_hour: lag for lag in _lagging(settings, stream)}
    table, held = bronze(settings, stream).table_id, [h for h, lag in lags.items() if lag.is_held]
    found = []
    for seen in Ledger(settings).seen(table, held):
        lag = lags.get(seen.event_hour)
        state: State = "done" if lag is None else "held" if lag.is_held else "pending"
        at = seen.late_at or (lag.touched_at if lag else None)
        found.append(
            LateHour(seen.event_hour, seen.rows, seen.late_rows, seen.most_late_s, at, state)
        )
    return found


def release(
    settings: Settings,
    stream: Stream,
    hours: Collection[datetime] | None,
    reason: str,
    decided_by: str,
) -> list[datetime]:
    """Let held hours be computed again, each with what has landed of it up to now.

    Args:
        settings: where the ledger is.
        stream: the contract.
        hours: which; all that are held without it.
        reason: kept with the decision.
        decided_by: who says so.

    Raises:
        PermanentFailure: one of the hours is not held; none is released then.
    """
    held = {lag.event_hour: lag for lag in _lagging(settings, stream) if lag.is_held}
    wanted = sorted(held if hours is None else set(hours))
    if unknown := [hour for hour in wanted if hour not in held]:
        named = ", ".join(partitions.key(hour, stream.grain) for hour in unknown)
        raise PermanentFailure(
            f"release event hours of {stream.name}",
            f"not held: {named}",
            f"`de-stack late list {stream.name} --held` names those that are",
            page="held-hours",
        )
    details = [
        {"event_hour": hour.isoformat(), "source_version": held[hour].version} for hour in wanted
    ]
    Decisions(settings, silver(settings, stream).table_id).enter(
        "release", details, reason, decided_by
    )
    return wanted


def _lagging(settings: Settings, stream: Stream) -> list[Lag]:
    user, source = silver(settings, stream).table_id, bronze(settings, stream).table_id
    return Ledger(settings).lagging(user, source, stream.grain, stream.look_back)

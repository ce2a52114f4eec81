"""What faults mean for a stream: how far off a time must be, which values can be broken.

Belongs here: the contract's words -> seconds and targets, and refusals where a fault would not be
what it says. Does not belong here: making faults (`faults.py`, `malformed.py`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from de_stack.sources.generator.faults import Faults, Off
from de_stack.sources.generator.files import ConfigError
from de_stack.sources.generator.malformed import Target
from de_stack.sources.generator.shape import OBJECT, Shape, Slot

if TYPE_CHECKING:
    from de_stack.contracts import Stream

# The longest that a period of each grain is.
_GRAIN_S = {"hour": 3600.0, "day": 86400.0, "month": 31 * 86400.0}
# The broker's clock decides what is of the future, and it may be asked minutes later.
_MARGIN_S = 3600.0


def off_of(faults: Faults, shape: Shape, stream: Stream | None, start: datetime, where: str) -> Off:
    """How far off times must be so that late ones are late, and future ones refused.

    A row is late when it comes after the end of its event hour (day, month, with that grain) and
    the allowed lateness: further back than both together it always is.

    Raises:
        ConfigError: no value of the message is the event's time, or it would be before history.
    """
    off = Off()
    if stream:
        off = Off(
            _GRAIN_S[stream.grain] + stream.allowed_lateness.total_seconds(),
            stream.max_future.total_seconds() + _MARGIN_S,
        )
    if not faults.late and not faults.future:
        return off
    kind = "late" if faults.late else "future"
    if not _follows(shape, stream):
        what = stream.event_time if stream else "any value"
        reason = f"{what} is not made by `now`: nothing would show that an event is {kind}"
        raise ConfigError(where, f"faults.{kind}", reason)
    back = off.late + 61 if faults.late_seconds is None else faults.late_seconds
    if stream and faults.late and start - timedelta(seconds=back) < stream.history_start:
        reason = f"{back:g} s back is before historyStart {stream.history_start.isoformat()}"
        raise ConfigError(where, "faults.late", reason)
    return off


def targets_of(shape: Shape, stream: Stream | None) -> tuple[Target, ...]:
    """Values without which, or with another type of which, no message is good."""
    if stream is None:
        return tuple(Target(s.path, s.kind) for s in shape.slots if s.kind != OBJECT)
    made = {slot.path for slot in shape.slots}
    required = (f for f in stream.fields if f.required and f.path in made)
    return tuple(Target(f.path, f.type) for f in required)


def _follows(shape: Shape, stream: Stream | None) -> bool:
    def follows(slot: Slot | None) -> bool:
        return slot is not None and slot.function.follows_clock(slot.kind)

    if stream:
        return follows(shape.at(stream.field(stream.event_time).path))
    return any(map(follows, shape.slots))

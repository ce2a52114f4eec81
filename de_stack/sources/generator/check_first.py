"""A first event, held against the contract before any is sent.

Belongs here: the check, so that a slip shows here and not at the collector. Does not belong here:
the contract's rules (`contracts.decode`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from de_stack.sources.generator.events import Events
from de_stack.sources.generator.files import ConfigError

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.sources.generator.config import Config


def check_first(
    stream: Stream, config: Config, path: Path | None, now: datetime | None = None
) -> None:
    """Decode an event as the landing would; `now` is a clock of one's own.

    Raises:
        ConfigError: it breaks the contract.
    """
    from de_stack.contracts.decode import decoder_for

    now = now or datetime.now(UTC)
    event = Events(config.shape, "first", now).next(now)
    decoded = decoder_for(stream)(event.data, now)
    if decoded.record is None:
        where = str(path or f"contract of {stream.name}")
        raise ConfigError(where, f"fields.{decoded.field}", f"{decoded.reason}: {event.data!r}")

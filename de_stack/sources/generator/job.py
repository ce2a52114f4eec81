"""What was asked for -> a generator that is ready to run, checked before anything is sent.

Belongs here: stream, file, rate, seed, clock and faults put together. Does not belong here: the
destinations (`destination.py`), the loop (`run.py`), options (`cli`, `__main__`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.settings import Settings
from de_stack.sources.generator.check_first import check_first
from de_stack.sources.generator.config import Config, load_config, stream_of
from de_stack.sources.generator.counts import Counts
from de_stack.sources.generator.events import Events
from de_stack.sources.generator.fault_plan import off_of, targets_of
from de_stack.sources.generator.fault_words import given
from de_stack.sources.generator.faults import Faults, Faulty
from de_stack.sources.generator.files import read_yaml
from de_stack.sources.generator.malformed import Breaker
from de_stack.sources.generator.run import Generator, World
from de_stack.sources.generator.schedule import MAX_BATCH
from de_stack.sources.generator.sinks import Sink
from de_stack.sources.generator.stamps import FixedStamps

if TYPE_CHECKING:
    from de_stack.contracts import Stream

# A door takes so many items; others are waited for once per batch, and the fewer the quicker.
_LARGE_BATCH = 20_000
DEFAULT_STREAM = "telemetry.measures"


@dataclass(frozen=True)
class Wish:
    """What somebody asked for; None where nothing was said.

    `faults` holds `SHARE` or `SHARE:SECONDS` by kind. `start` is a clock of one's own; only with it
    `is_fast` (as fast as the sink takes it) makes sense. `form` is `json` or `csv`.
    """

    stream: str | None = None
    config: Path | None = None
    rate: float | None = None
    count: int | None = None
    seed: str | None = None
    sink: str | None = None
    out: Path | None = None
    topic: str | None = None
    start: datetime | None = None
    is_fast: bool = False
    faults: Mapping[str, str | None] = field(default_factory=dict)
    form: str | None = None


@dataclass(frozen=True)
class Job:
    """A generator that is ready. `told` is what a person may want to know of it."""

    wish: Wish
    events: Events
    faults: Faults
    faulty: Faulty | None
    rate: float
    start: datetime
    counts: Counts
    told: dict[str, Any]
    open_sink: Callable[[], Sink]

    def run(self, world: World, report: Callable[[Counts, float], None]) -> None:
        """Make and send until `count` or the wish to stop.

        Raises:
            Failure: the sink will never take these events.
        """
        sink = self.open_sink()
        stamps = FixedStamps(self.start, self.rate) if self.wish.start else None
        source = self.faulty or self.events
        try:
            generator = Generator(
                source,
                sink,
                self.rate,
                world,
                stamps,
                is_paced=not self.wish.is_fast,
                counts=self.counts,
                batch=MAX_BATCH if self.told["sink"] == "http" else _LARGE_BATCH,
                report=report,
            )
            generator.run(self.wish.count)
        finally:
            sink.close()


def default_stream() -> str:
    """The only stream that there is, else that of measures."""
    from de_stack.contracts import load_all

    streams = list(load_all())
    return streams[0] if len(streams) == 1 else DEFAULT_STREAM


def prepare(
    settings: Settings,
    wish: Wish,
    now: datetime,
    destination: Callable[[Settings, Wish, Stream | None, str], Callable[[], Sink]],
) -> Job:
    """Check all that can be checked before the first event is sent.

    Args:
        settings: where things are.
        wish: what is asked for.
        now: the time of the start, where the wish names none.
        destination: (settings, wish, stream, kind of sink) -> what opens the sink.

    Raises:
        PermanentFailure: of the wish, the file or the contract, something is wrong.
    """
    stream, path = _stream_and_file(settings, wish)
    config = load_config(stream, path)
    kind = wish.sink or ("file" if wish.out else "http" if stream else "console")
    if wish.is_fast and not wish.start:
        fix = "give --start TIME: the events need a clock of their own"
        raise PermanentFailure("generate without waiting", "--fast without --start", fix)
    start = wish.start or now
    # Of the first generator's envelope the door is the judge, and no contract describes it.
    is_judged_by_door = config.is_original and kind == "http"
    if stream and not is_judged_by_door:
        check_first(stream, config, path, start)
    seed = next((s for s in (wish.seed, config.seed) if s is not None), secrets.randbits(32))
    rate = wish.rate or config.rate or 1.0
    faults = given(config.faults, wish.faults)
    events = Events(config.shape, str(seed), start)
    where = str(path or (f"contract of {stream.name}" if stream else "nothing"))
    name = config.shape.name
    counts = Counts(name, rate)
    faulty = None
    if faults:
        judged = None if is_judged_by_door else stream
        off = off_of(faults, config.shape, judged, start, where)
        targets = () if is_judged_by_door else targets_of(config.shape, judged)
        faulty = Faulty(events, faults, off, Breaker(targets, str(seed)), str(seed), counts)
    form, opens = wish.form or config.form or "json", destination(settings, wish, stream, kind)
    if form == "csv":
        opens = _lines(stream, opens)
    told = (
        _told(config, stream, path)
        | {
            "rate": rate,
            "seed": seed,
            "start": start.isoformat(),
            "has_own_clock": wish.start is not None,
            "sink": kind,
        }
        | ({} if form == "json" else {"format": form})
    )
    return Job(wish, events, faults, faulty, rate, start, counts, told, opens)


def _lines(stream: Stream | None, opens: Callable[[], Sink]) -> Callable[[], Sink]:
    from de_stack.sources.generator.csv_form import Lines

    if stream is None or not stream.csv_line:
        got = f"the contract of {stream.name} has no csvLine" if stream else "they are of no stream"
        raise PermanentFailure("make lines of CSV", got, "leave --format out")
    return lambda: Lines(stream, opens)


def _stream_and_file(settings: Settings, wish: Wish) -> tuple[Stream | None, Path | None]:
    from de_stack.contracts import load_stream

    named = wish.stream
    if named is None and wish.config:
        named = stream_of(read_yaml(wish.config), wish.config)
        if named is None:
            return None, wish.config
    stream = load_stream(named or default_stream())
    usual = settings.home / "generator" / f"{stream.name}.yaml"
    return stream, wish.config or (usual if usual.exists() else None)


def _told(config: Config, stream: Stream | None, path: Path | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "stream": stream.name if stream else "none: messages of the file's own",
        "config": str(path or "contract"),
    }
    if config.others:
        told["not_read"] = ", ".join(config.others)
    return told

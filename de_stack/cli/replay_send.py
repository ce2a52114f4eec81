"""Sending a file, and what is said of it.

Belongs here: progress, Ctrl-C, what became of the rows. Does not belong here: what a row becomes
and the loop (`sources.replay`), what is decided before (`replay_plan.py`).
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from de_stack.cli.replay_plan import Plan, records, say
from de_stack.failures import Failure

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.settings import Settings
    from de_stack.sources.replay.send import Sent

_A_LINE_S = 10.0


def send(settings: Settings, contract: Stream, plan: Plan, rate: float | None) -> Sent:
    """Send a file's rows; says how far it came where that fails."""
    from de_stack.resources.kafka_bulk import bulk_producer
    from de_stack.sources.replay.send import Sent, World, at_once
    from de_stack.sources.replay.send import send as send_all
    from de_stack.sources.replay.times import Seen

    topic = settings.names.topic(*contract.topic)
    made, sent = records(contract, plan), Sent()
    plan.times.seen = Seen()
    with _stoppable() as is_stopped, _progress(plan) as progress:
        try:
            with bulk_producer(settings, f"send {plan.file.name} to {topic}") as producer:
                send_all(
                    made.events(plan.source, at_once(rate)),
                    producer,
                    topic,
                    World(time.monotonic, time.sleep, is_stopped),
                    rate,
                    progress,
                    sent,
                )
        except (Failure, KeyboardInterrupt):
            say(
                f"Kafka has acknowledged {sent.acknowledged:,} of {sent.rows:,} rows: the same "
                "command sends all again and adds nothing twice"
            )
            raise
    return sent


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C (or SIGTERM) asks for an end, the second one ends at once."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        say("ending: what is on its way is waited for (again: at once)")

    before = {n: signal.signal(n, ask) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(plan: Plan) -> Iterator[Callable[[Sent], None]]:
    """A bar on a terminal, a line now and then elsewhere."""
    began = last = time.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(plan.file.name), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
        rows = TextColumn("{task.fields[rows]:,} rows")
        with Progress(
            *columns, rows, TimeRemainingColumn(), console=Console(stderr=True)
        ) as progress:
            task = progress.add_task("", total=1.0, rows=0)
            yield lambda sent: progress.update(
                task, completed=1.0 if sent.is_whole else plan.source.fraction(), rows=sent.rows
            )
        return

    def line(sent: Sent) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _A_LINE_S:
            last = now
            share = plan.source.fraction()
            say(f"{sent.rows:,} rows, {share:.0%} of the file, after {now - began:.0f} s")

    yield line


def tell_sent(plan: Plan, sent: Sent, zone: str | None) -> None:
    """What became of the rows, and what was taken for granted."""
    seen = plan.times.seen
    say(f"{sent.acknowledged:,} of {sent.rows:,} rows are in Kafka, ids replay:{plan.sha256[:8]}…")
    if seen.naive:
        hint = "" if zone else " (--time-zone says otherwise)"
        say(f"times without a zone were taken as {zone or 'UTC'}{hint}")
    if seen.blank:
        say(f"{seen.blank:,} cells say that there is no value (NA, null, ...), where none must be")
    if seen.twice:
        say(f"{seen.twice:,} of them occur twice, when clocks go back: taken as the first")
    if seen.skipped:
        say(f"{seen.skipped:,} of them do not exist, as clocks go forward: no times")
    if sent.first_refused:
        row, error = sent.first_refused
        codes = ", ".join(f"{n:,} {code}" for code, n in sent.refused.most_common())
        say(f"against the contract, dead letters when they land: {codes}; first row {row}: {error}")
    for row, size in sent.unsendable[:5]:
        say(f"NOT SENT: row {row} has {size:,} bytes, more than a message may have")
    if len(sent.unsendable) > 5:
        say(f"NOT SENT: {len(sent.unsendable) - 5:,} more rows that are too large")


def said(contract: Stream, plan: Plan, sent: Sent) -> dict[str, Any]:
    """The same for programs."""
    return {
        "stream": contract.name,
        "file": str(plan.file),
        "sha256": plan.sha256,
        "name": plan.name,
        "columns": plan.mapping.columns,
        "constants": plan.mapping.constants,
        "shift_days": plan.shift_days,
        "rows": sent.rows,
        "sent": sent.acknowledged,
        "refused": dict(sent.refused),
        "not_sent": [row for row, _ in sent.unsendable],
        "whole": sent.is_whole,
    }

"""Waiting until every row of a file is published, dead or held.

Belongs here: patience, what is said meanwhile, the counts. Does not belong here: where rows are
(`flow.arrivals`), what blocks a stream (`orchestration.blocks`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.cli.replay_plan import say
from de_stack.failures import PermanentFailure, TransientFailure

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.flow.arrivals import Sending
    from de_stack.settings import Settings
    from de_stack.sources.replay.send import Sent

_LOOK_S, _FIRST_S, _SAY_S = 1.0, 4.0, 15.0
_LOOKS_OF_SENSORS, _WORK_S = 3, 900
# Dagster's daemon looks for new code every minute.
_FIRST_TICK_S = 75.0


def chain_of(stream: Stream) -> tuple[str, ...]:
    """The stages of a stream, up to the table that accounts for its rows."""
    served, _ = stream.accounted_in
    return f"bronze_{stream.entity}", f"silver_{stream.entity}", served, f"published_{served}"


def cadence(settings: Settings) -> str:
    """How often the sensors look, and what makes them quicker."""
    seconds, name = settings.sensor_interval_seconds, "DE_STACK_SENSOR_INTERVAL_SECONDS"
    quicker = f"`{name}=15 de-stack up` makes them quicker" if seconds > 15 else name
    return f"sensors look every {seconds} s ({quicker})"


def wait(
    settings: Settings,
    stream: Stream,
    sending: Sending,
    sent: Sent,
    timeout: float | None,
    chain: Sequence[str] = (),
) -> dict[str, Any]:
    """Counts of a sending, once nothing of it is under way.

    Args:
        settings: where everything is.
        stream: the stream.
        sending: what was sent.
        sent: what the sender counted.
        timeout: seconds; three looks of the sensors and 15 minutes without it.
        chain: the stream's stages, if they are not those of `chain_of`.

    Raises:
        TransientFailure: it takes longer; the rows go on by themselves.
        PermanentFailure: the stream is blocked, or what Kafka has acknowledged is not in bronze.
    """
    from de_stack.flow.arrivals import Arrivals

    arrivals = Arrivals(settings, stream, sending, chain or chain_of(stream))
    seconds = _LOOKS_OF_SENSORS * settings.sensor_interval_seconds + _WORK_S
    watch = _Watch(settings, stream, seconds if timeout is None else timeout)
    say(f"waiting until every row is published, dead or held: {cadence(settings)}")
    try:
        while left := arrivals.unlanded():
            watch.pause(f"{left:,} offsets have still to land", "land")
        landed = arrivals.landed()
        if landed.rows < sent.acknowledged:
            raise PermanentFailure(
                "find the rows in bronze",
                f"Kafka has acknowledged {sent.acknowledged:,}, bronze has {landed.rows:,}",
                "`de-stack ledger check`, `de-stack offsets show`",
                page="ledger-disagrees",
            )
        while stages := arrivals.pending(set(landed.hours)):
            told = ", ".join(f"{count:,} in {name}" for name, count in stages.items())
            watch.pause(f"landed; event hours that are pending: {told}", "derive")
        arrived = arrivals.arrived(landed.hours)
    except KeyboardInterrupt:
        say("no longer waited for: the rows are in Kafka and go on by themselves")
        raise
    dead = sum(landed.dead.values())
    return {**asdict(arrived), "dead": dead, "codes": dict(landed.dead), "landed": landed.rows}


def show(found: dict[str, Any]) -> None:
    """The counts, for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{found['file']} in {found['stream']}")
    table.add_column("rows")
    table.add_column("", justify="right")
    table.add_column("", style="dim")
    codes = ", ".join(f"{n:,} {code}" for code, n in found["codes"].items())
    for what, rows, note in (
        ("sent", found["sent"], f"of {found['rows']:,} in the file"),
        ("published", found["published"], "events of the file that people see"),
        ("dead", found["dead"], codes or "against the contract"),
        ("held", found["held"], "older than the look-back: `de-stack late list`"),
        ("added nothing", found["repeated"], "their event was there already"),
    ):
        table.add_row(what, f"{rows:,}", note)
    console = Console()
    console.print(table)
    if found["missing"]:
        said = f"{found['missing']:,} events are nowhere: `de-stack ledger check`"
        console.print(said, style="red")


class _Watch:
    """Sleeps between looks; says now and then what is waited for, and what stands in the way."""

    def __init__(self, settings: Settings, stream: Stream, timeout: float) -> None:
        from de_stack.resources.alerts import Alerts

        self._settings, self._stream, self._timeout = settings, stream, timeout
        self._began = time.monotonic()
        # What stands in the way is known at once: the first look is not far.
        self._said = self._began - _SAY_S + _FIRST_S
        self._alerts, self._told = Alerts(settings), set[str]()
        self._position = self._alerts.size()

    def pause(self, what: str, step: str) -> None:
        """Wait a little.

        Raises:
            TransientFailure: it has taken too long.
            PermanentFailure: the stream's step is blocked.
        """
        now = time.monotonic()
        tried = f"wait for the rows of {self._stream.name}"
        is_over = now - self._began > self._timeout
        # At the end, too: what stands in the way is then why it has taken so long.
        if is_over or now - self._said >= _SAY_S:
            self._said = now
            say(f"{what} ({now - self._began:.0f} s)")
            for line in self._failed():
                say(line)
            for line in self._obstacles(step):
                if line.startswith("blocked"):
                    raise PermanentFailure(tried, line, page="blocked")
                if line not in self._told:
                    self._told.add(line)
                    say(line)
        if is_over:
            got = f"after {self._timeout:,.0f} s: {what}"
            fix = "the rows are safe and go on; the same command waits again, and adds nothing"
            raise TransientFailure(tried, got, fix, page="still-under-way")
        time.sleep(_LOOK_S)

    def _failed(self) -> Iterator[str]:
        """Runs of this stream that have failed since the last look."""
        subject = self._settings.names.topic(self._stream.domain, self._stream.entity)
        for alert, position in self._alerts.after(self._position):
            self._position = position
            if alert.get("stream") == subject:
                yield f"run {alert['run_id']} failed: {alert['failure']['message']}"

    def _obstacles(self, step: str) -> Iterator[str]:
        if self._settings.profile == "embedded":
            from de_stack.local.status import rows

            for row in rows(self._settings.home):
                if row.name in ("daemon", "code_server") and row.state != "running":
                    yield f"{row.name} is {row.state}, so nothing runs by itself: `de-stack up`"
            os.environ["DAGSTER_HOME"] = str(self._settings.home / "dagster")
        elif not os.environ.get("DAGSTER_HOME"):
            yield "DAGSTER_HOME is not set: runs that fail cannot be seen from here"
            return
        if not (Path(os.environ["DAGSTER_HOME"]) / "dagster.yaml").exists():
            return
        import dagster as dg

        from de_stack.orchestration.blocks import held_back
        from de_stack.orchestration.ticks import sensor_name

        sensor = sensor_name(self._stream.domain, self._stream.entity, step)
        with dg.DagsterInstance.get() as instance:
            seconds = self._settings.sensor_interval_seconds
            reason = held_back(instance, self._settings, self._stream.name, step, seconds)
            is_known = any(state.name == sensor for state in instance.all_instigator_state())
        if reason:
            yield reason
        # The daemon writes down what it has asked for the first time.
        if not is_known and time.monotonic() - self._began > _FIRST_TICK_S:
            yield f"Dagster does not know the sensor {sensor} yet: `de-stack up` makes it look"

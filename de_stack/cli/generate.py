"""`de-stack generate`: made-up events of a stream, or of a file's own, to where they are wanted.

Belongs here: options, progress, the summary, the exit code. Does not belong here: making and
sending (`sources/generator`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from de_stack.settings import Settings
    from de_stack.sources.generator.counts import Counts
    from de_stack.sources.generator.job import Wish
    from de_stack.sources.generator.summary import Summary

    Report = Callable[[Counts, float], None]

_STREAM = "domain.entity; the file's, or the only one, or telemetry.measures without it."
_SINK = "console, file, http (the collector) or kafka; http for a stream."
_CONFIG = "YAML: ours, or the first telemetry generator's."
_START = "A clock of its own, from this time on: the same bytes in every run."
_FORM = "json, or csv: lines, where the contract has a csvLine."
_SHARE = "Share of the events, 0 to 1"
_REPORT_S = 5.0


def generate(
    stream: Annotated[str | None, typer.Argument(help=_STREAM, show_default=False)] = None,
    rate: Annotated[str | None, typer.Option(help="Events per second.")] = None,
    count: Annotated[str | None, typer.Option(help="Stop after so many; else at Ctrl-C.")] = None,
    seed: Annotated[str | None, typer.Option(help="Same seed, same values.")] = None,
    sink: Annotated[str | None, typer.Option(help=_SINK)] = None,
    config: Annotated[Path | None, typer.Option(help=_CONFIG)] = None,
    out: Annotated[Path | None, typer.Option(help="File that lines are appended to.")] = None,
    topic: Annotated[str | None, typer.Option(help="Kafka topic; the stream's without.")] = None,
    form: Annotated[str | None, typer.Option("--format", help=_FORM)] = None,
    start: Annotated[str | None, typer.Option(help=_START)] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Do not wait; with --start.")] = False,
    late: Annotated[str | None, typer.Option(help=f"{_SHARE}, or SHARE:SECONDS back.")] = None,
    duplicate: Annotated[str | None, typer.Option(help=f"{_SHARE} sent twice.")] = None,
    malformed: Annotated[str | None, typer.Option(help=f"{_SHARE}.")] = None,
    out_of_order: Annotated[str | None, typer.Option(help=f"{_SHARE}.")] = None,
    future: Annotated[str | None, typer.Option(help=f"{_SHARE}, or SHARE:SECONDS.")] = None,
    metrics_port: Annotated[
        str | None, typer.Option(help="Serve /metrics on 127.0.0.1; 0: any.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary for programs.")] = False,
) -> None:
    """Make events at a rate and send them; exit 1 where one was lost or refused that is good."""
    from de_stack.settings import Settings
    from de_stack.sources.generator import options
    from de_stack.sources.generator.job import Wish

    wish = Wish(
        stream=stream,
        config=config,
        rate=None if rate is None else options.rate(rate),
        count=None if count is None else options.count(count),
        seed=seed,
        sink=sink,
        out=out,
        topic=topic,
        start=None if start is None else options.start(start),
        is_fast=fast,
        faults={
            "late": late,
            "duplicate": duplicate,
            "malformed": malformed,
            "out_of_order": out_of_order,
            "future": future,
        },
        form=None if form is None else options.form(form),
    )
    port = None if metrics_port is None else options.port(metrics_port)
    summary = _run(Settings(), wish, port)
    # Events have standard output where they are printed there.
    is_taken = summary.told["sink"] == "console"
    if as_json:
        typer.echo(json.dumps(summary.plain()), err=is_taken)
    else:
        for line in summary.lines():
            typer.echo(line, err=is_taken)
    if summary.wrong:
        typer.echo(f"de-stack: {summary.wrong}", err=True)
        raise typer.Exit(1)


def _run(settings: Settings, wish: Wish, port: int | None) -> Summary:
    import time
    from datetime import UTC, datetime

    from de_stack.sources.generator import meters, service
    from de_stack.sources.generator.destination import destination
    from de_stack.sources.generator.job import prepare
    from de_stack.sources.generator.summary import Summary
    from de_stack.sources.logs import configure

    configure()
    with service.stopped_by_signals() as stop:
        job = prepare(settings, wish, datetime.now(UTC), destination)
        if port is not None:
            typer.echo(f"metrics: {meters.serve(port, [job.counts], time.monotonic)}", err=True)
        words = (word for word in job.told if word != "has_own_clock")
        typer.echo(", ".join(f"{word} {job.told[word]}" for word in words), err=True)
        with _progress(wish.count) as report:
            begun = time.monotonic()
            job.run(service.world_until(stop), report)
            seconds = time.monotonic() - begun
    return Summary(job.counts, seconds, job.told)


@contextmanager
def _progress(count: int | None) -> Iterator[Report]:
    """A line that moves on a terminal; elsewhere a line every few seconds."""
    from rich.console import Console

    from de_stack.sources.generator import service

    console = Console(stderr=True)
    if not console.is_terminal:
        yield service.log_report(_REPORT_S)
        return
    of = f" of {count:,}" if count is not None else ""
    with console.status("making events ...") as status:

        def report(counts: Counts, at: float) -> None:
            status.update(
                f"{counts.stream}: {counts.made:,}{of} made, {counts.sent:,} sent, "
                f"{counts.refused:,} refused, {counts.rate(at):,.0f}/s, {counts.lag:.1f} s behind"
            )

        yield report


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(generate)

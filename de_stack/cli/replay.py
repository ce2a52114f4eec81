"""`de-stack replay`: a file of one's own as a stream.

Belongs here: arguments, the order of things. Does not belong here: reading and sending
(`sources.replay`), what the ledger remembers (`flow.sent_files`). Dead letters are sent again by
`de-stack dead-letters replay`: another thing.
"""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

_INTERRUPTED = 130

File = Annotated[
    Path,
    typer.Argument(exists=True, dir_okay=False, readable=True, help=".csv, .parquet or .ndjson"),
]
Maps = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="FIELD=COLUMN", help="Equal names (in snake_case) need none. a.b: nested."
    ),
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="The same for all rows.")
]
Form = Annotated[
    str | None,
    typer.Option(
        "--time-format", help="As strptime has it, or s, ms, us since 1970; ISO 8601 without it."
    ),
]
Zone = Annotated[
    str | None,
    typer.Option("--time-zone", help="Of times without one, e.g. Europe/Berlin; UTC without it."),
]
Rate = Annotated[
    float | None, typer.Option(min=0.001, max=1e7, help="Rows per second; all at once without it.")
]
ToNow = Annotated[
    bool,
    typer.Option(
        "--shift-to-now",
        help="Move all times by the same whole number of days, the last one to just before now; "
        "the next time, the same file by the same days.",
    ),
]
Days = Annotated[
    int | None,
    typer.Option("--shift-days", help="Move all times of the file by so many days instead."),
]
As = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="NAME",
        help="The rows as other events than those that this file has become before.",
    ),
]
Mend = Annotated[
    bool,
    typer.Option(
        "--mend",
        help="The same events with another mapping, in the old ones' place; at the same times.",
    ),
]
Anyway = Annotated[
    bool,
    typer.Option("--anyway", help="Send although none of the first rows is good: dead letters."),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Return when every row is published, dead or held.")
]
Timeout = Annotated[
    float | None,
    typer.Option(help="Seconds that --wait waits; three looks of the sensors, and 15 minutes."),
]
Delimiter = Annotated[
    str | None, typer.Option(help="Of a CSV file; what the first line has most of , ; tab |.")
]
Header = Annotated[
    bool,
    typer.Option("--no-header", help="The first line is a row; columns are column1, column2, ..."),
]
Encoding = Annotated[
    str | None, typer.Option(help="Of a CSV file, e.g. cp1252; UTF-8 (or a UTF-16 mark).")
]
Nulls = Annotated[
    list[str] | None,
    typer.Option("--null", help="Cells of a CSV file that say this say nothing, e.g. NA."),
]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def replay(
    stream: Annotated[str, typer.Argument(help="domain.entity")],
    file: File,
    map_: Maps = None,
    set_: Sets = None,
    time_format: Form = None,
    time_zone: Zone = None,
    rate: Rate = None,
    shift_to_now: ToNow = False,
    shift_days: Days = None,
    as_name: As = "",
    mend: Mend = False,
    anyway: Anyway = False,
    wait: Wait = False,
    timeout: Timeout = None,
    delimiter: Delimiter = None,
    no_header: Header = False,
    encoding: Encoding = None,
    null: Nulls = None,
    as_json: Json = False,
) -> None:
    """Send a file of your own as a stream; the same file again adds no event.

    A row that is against the contract becomes a dead letter, like any message: none is dropped.
    """
    from de_stack.cli.replay_plan import (
        Plan,
        check_name,
        look,
        say,
        shift,
        tell,
        topic_id_of,
        zone_of,
    )
    from de_stack.cli.replay_send import said, send, tell_sent
    from de_stack.contracts import load_stream
    from de_stack.flow.arrivals import Sending
    from de_stack.flow.bronze import bronze
    from de_stack.flow.ledger_schema import ensure_schema
    from de_stack.flow.sent_files import SentFiles, refuse_other, refuse_other_times
    from de_stack.settings import Settings
    from de_stack.sources.replay import files
    from de_stack.sources.replay.mapping import resolve
    from de_stack.sources.replay.records import id_prefix
    from de_stack.sources.replay.times import Times

    contract = load_stream(stream)
    times = Times(time_format, zone_of(time_zone))
    source = files.open_file(file, delimiter, not no_header, encoding, null or ())
    mapping = resolve(contract, source.columns, map_ or [], set_ or [], times)
    check_name(as_name)
    settings = Settings()
    topic_id = topic_id_of(settings, contract)
    ensure_schema(settings)
    sent_files = SentFiles(settings, bronze(settings, contract).table_id)
    stamp, sha256 = files.stamp(file), files.sha256(file)
    earlier = sent_files.earlier(sha256)
    tell(mapping, source)
    days = shift(earlier, contract, source, mapping, times, shift_to_now, shift_days)
    # As it is, not as it was typed: what is the default may be said, too.
    how = {"time_format": time_format, "time_zone": str(times.zone)}
    how |= {"delimiter": getattr(source, "delimiter", None), "no_header": no_header}
    how |= {"encoding": getattr(source, "encoding", None), "null": sorted(set(null or []))}
    digest = mapping.digest(**how)
    typed = {"columns": mapping.columns, "constants": mapping.constants, **how}
    if mend:
        refuse_other_times(earlier, as_name, typed, contract.event_time, days)
    else:
        refuse_other(earlier, as_name, digest, days)
    plan = Plan(file, source, times, mapping, days, sha256, as_name, topic_id)
    look(contract, plan, anyway)
    entry = sent_files.enter(
        *(earlier, sha256, topic_id, as_name, file.name, digest, typed, days, getpass.getuser())
    )
    began = datetime.now(UTC)
    sent = send(settings, contract, plan, rate)
    sent_files.end(entry, sent.acknowledged, sent.good)
    found = said(contract, plan, sent)
    failed = bool(sent.unsendable)
    tell_sent(plan, sent, time_zone)
    if files.stamp(file) != stamp:
        say("THE FILE HAS CHANGED while it was sent: its rows are now those of another file")
        failed = True
    if not sent.is_whole:
        say("interrupted: the same command sends all rows again and adds nothing twice")
    elif wait:
        from de_stack.cli.replay_wait import wait as wait_for

        sending = Sending(topic_id, sent.spans, id_prefix(sha256, as_name), began)
        found |= wait_for(settings, contract, sending, sent, timeout)
        failed = failed or bool(found["missing"])
    else:
        from de_stack.cli.replay_wait import cadence

        say(f"--wait follows them; {cadence(settings)}")
    if as_json:
        typer.echo(json.dumps(found))
    elif wait and sent.is_whole:
        from de_stack.cli.replay_wait import show

        show(found)
    if failed or not sent.is_whole:
        raise typer.Exit(1 if sent.is_whole else _INTERRUPTED)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)

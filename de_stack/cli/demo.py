"""`de-stack demo`: everything up, the first statistics on the screen, and where everything is.

Belongs here: waiting for the first numbers and printing them. Does not belong here: starting
services (`local/stack.py`), making numbers (`defs/`).
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from de_stack.failures import TransientFailure
from de_stack.naming import asset_name

if TYPE_CHECKING:
    from rich.console import Console

    from de_stack.settings import Settings

# Much faster than a laptop needs it, so that somebody who looks sees something move.
_CADENCE = {
    "DE_STACK_SENSOR_INTERVAL_SECONDS": "15",
    "DE_STACK_MART_INTERVAL_SECONDS": "60",
    # Three queries on two cores: at a second they would leave little to the rest.
    "DE_STACK_QUERY_INTERVAL_SECONDS": "5",
}
# The statistics come minutes after the first trades, so that these are there already, as a rule.
_LIVE_S = 90
_DOMAIN, _ENTITY = "telemetry", "measures"
_STAGES = (("bronze", "landed from Kafka"), ("silver", "refined"), ("stats", "statistics in Delta"))


@dataclass(frozen=True)
class _Shown:
    """A table in Postgres of which the demo shows the newest rows, by `window_start`."""

    domain: str
    table: str
    title: str
    columns: tuple[str, ...]
    rows: int


_STATISTICS = _Shown(
    _DOMAIN,
    asset_name("stats", _ENTITY),
    "telemetry.stats_measures in Postgres, newest windows (UTC)",
    (
        *("source_id", "metric", "window_start", "window_end", "count"),
        *("min", "max", "mean", "stddev", "p50", "p90", "p99"),
    ),
    12,
)
_LIVE = (
    _Shown(
        "stocks",
        "live_averages",
        "stocks.live_averages in Postgres, while trades come in (UTC)",
        (
            *("stock_name", "window_start", "window_end", "count"),
            *("min_price", "max_price", "avg_price"),
        ),
        8,
    ),
    _Shown(
        _DOMAIN,
        "live_measures",
        "telemetry.live_measures in Postgres, while measures come in (UTC)",
        ("source_id", "metric", "window_start", "count", "min", "max", "mean", "last_value"),
        5,
    ),
)


def demo(
    deadline: Annotated[int, typer.Option(help="Seconds to wait for the first statistics.")] = 900,
) -> None:
    """Start everything, wait for the first statistics in Postgres, show them and where to look."""
    from rich.console import Console

    from de_stack.cli.environment import setup
    from de_stack.local import stack

    for name, value in _CADENCE.items():
        os.environ.setdefault(name, value)
    stack.check_settings()
    console = Console(width=None if typer.get_text_stream("stdout").isatty() else 132)
    seconds: dict[str, float] = {}
    if given := os.environ.get("DE_STACK_SETUP_SECONDS"):
        seconds["Python environment"] = float(given)

    began = time.monotonic()
    setup()
    seconds["jars, dbt manifest"] = time.monotonic() - began
    began = time.monotonic()
    services = stack.up((), typer.echo)
    seconds["services"] = time.monotonic() - began
    for stage, took in _wait(deadline):
        seconds[stage] = took
    from de_stack.settings import Settings

    settings = Settings()
    # The queries have been at it since their host is up; they need no run of Dagster.
    for shown in _LIVE:
        _until_there(settings, shown)
    for shown in (_STATISTICS, *_LIVE):
        _newest(console, settings, shown)
    _places(console, settings)
    _services(console, settings)
    _times(console, seconds, services)
    me = _me()
    typer.echo(f"It goes on running. Look: `{me} status`, `{me} logs NAME -f`, `{me} counts`.")
    typer.echo(f"Stop: `make down` (or `{me} down`; with --purge the data goes, too).")


def _me() -> str:
    """How this command is typed from here: the environment may not be an activated one."""
    if shutil.which("de-stack") == sys.argv[0]:
        return "de-stack"
    path = os.path.relpath(sys.argv[0])
    return sys.argv[0] if path.startswith("..") else path


def _wait(deadline_seconds: int) -> Iterator[tuple[str, float]]:
    """Yield (stage, seconds it took) as the first measures pass through the rooms."""
    from de_stack.resources.postgres import Postgres
    from de_stack.settings import Settings

    settings = Settings()
    ledger = Postgres(settings, "ledger")
    began = last = said = time.monotonic()
    todo = [(settings.names.table_id(_DOMAIN, layer, _ENTITY), what) for layer, what in _STAGES]
    while True:
        with ledger.transaction("ask the ledger how far the first measures are") as db:
            there = {row[0] for row in db.execute("select distinct table_id from ledger.commits")}
        while todo and todo[0][0] in there:
            typer.echo(f"first measures: {todo[0][1]}")
            yield f"first measures: {todo.pop(0)[1]}", time.monotonic() - last
            last = time.monotonic()
        if not todo and _rows(settings, _STATISTICS, 1):
            yield "first statistics in Postgres", time.monotonic() - last
            return
        waited = time.monotonic() - began
        if waited > deadline_seconds:
            where = todo[0][1] if todo else "published to Postgres"
            raise TransientFailure(
                "see the first statistics in Postgres",
                f"not {where} after {waited:.0f} s; {_failed_runs(settings)}",
                f"look at {settings.webserver_url}/runs and `de-stack logs code_server`",
                page="still-under-way",
            )
        if time.monotonic() - said > 15:
            said = time.monotonic()
            typer.echo(f"waiting for: {todo[0][1] if todo else 'Postgres'}, {waited:.0f} s so far")
        time.sleep(0.5)


def _rows(settings: Settings, shown: _Shown, limit: int) -> list[tuple[Any, ...]]:
    """The newest rows; none as long as there is no such table."""
    from psycopg import sql

    from de_stack.resources.postgres import Postgres

    table = sql.Identifier(settings.names.schema(shown.domain), shown.table)
    columns = sql.SQL(", ").join(map(sql.Identifier, shown.columns))
    query = sql.SQL("select {} from {} order by window_start desc, 1, 2 limit {}")
    with Postgres(settings, "serving").transaction(f"read {shown.table}") as db:
        name = table.as_string(db)
        there = db.execute("select to_regclass(%s)", (name,)).fetchone()
        if there is None or there[0] is None:
            return []
        return db.execute(query.format(columns, table, sql.Literal(limit))).fetchall()


def _until_there(settings: Settings, shown: _Shown) -> None:
    began = time.monotonic()
    while not _rows(settings, shown, 1):
        if time.monotonic() - began > _LIVE_S:
            typer.echo(
                f"{shown.domain}.{shown.table} has no row after {_LIVE_S} s: "
                f"`{_me()} stream status` says why"
            )
            return
        time.sleep(0.5)


def _failed_runs(settings: Settings) -> str:
    import psycopg

    try:
        with psycopg.connect(settings.need("dagster_dsn"), connect_timeout=5) as db:
            row = db.execute("select count(*) from runs where status = 'FAILURE'").fetchone()
    except psycopg.Error as error:
        return f"Dagster's runs cannot be read ({error})".replace("\n", " ")
    return f"{row[0] if row else 0} failed runs"


def _newest(console: Console, settings: Settings, shown: _Shown) -> None:
    from rich.table import Table

    table = Table(title=shown.title)
    for name in shown.columns:
        is_text = name in ("source_id", "metric", "stock_name")
        table.add_column(name, justify="left" if is_text else "right")
    for row in _rows(settings, shown, shown.rows):
        table.add_row(*(_text(value) for value in row))
    console.print(table)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}"
    if not hasattr(value, "hour"):
        return str(value)
    return f"{value:%H:%M:%S}" if value.second else f"{value:%H:%M}"


def _places(console: Console, settings: Settings) -> None:
    from rich.table import Table

    table = Table("what", title="Where everything is")
    table.add_column("where", overflow="fold")
    rows = {
        "Dagster: asset graph": f"{settings.webserver_url}/asset-groups",
        "Dagster: runs": f"{settings.webserver_url}/runs",
        "Collector": f"POST {settings.collector_url}/v1/streams/telemetry.measures",
        "Kafka": f"{settings.kafka_bootstrap} (topic {settings.names.topic(_DOMAIN, _ENTITY)})",
        "Postgres": f'eval "$({_me()} env)"; psql "$DE_STACK_SERVING_DSN"',
        "Spark Connect": str(settings.spark_remote),
        "Delta tables": str(settings.lake_uri),
        "DuckDB": str(settings.warehouse_path),
        "All state": str(settings.home),
    }
    for what, where in rows.items():
        table.add_row(what, where, style="" if where else "dim")
    console.print(table)


def _services(console: Console, settings: Settings) -> None:
    """Every port and every log: of what was started now, and of what ran already."""
    from rich.table import Table

    from de_stack.local.status import rows

    table = Table("service", "port", title=f"Services (`{_me()} logs NAME -f` follows a log)")
    table.add_column("log", overflow="fold")
    for row in rows(settings.home):
        table.add_row(row.name, ", ".join(map(str, row.ports.values())) or "-", row.log)
    console.print(table)


def _times(console: Console, seconds: dict[str, float], services: dict[str, float]) -> None:
    from rich.table import Table

    table = Table("stage", title="How long it took")
    table.add_column("s", justify="right")
    for stage, took in seconds.items():
        table.add_row(stage, f"{took:.1f}")
        if stage == "services":
            for name, each in services.items():
                table.add_row(f"  {name}", f"{each:.1f}")
    console.print(table)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)

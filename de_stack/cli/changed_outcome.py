"""What the commands of `de-stack changed --run` have done: assets, rows, checks.

Belongs here: reading runs from Dagster's own record, the table at the end. Does not belong here:
starting anything (`changed_run.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import AssetKey, DagsterInstance

_MOST_SHOWN, _LOG_WIDTH = 3, 180
_STATES = ("passed", "warned", "failed")


@dataclass(frozen=True)
class Command:
    """A command as a person would type it, and how it ended."""

    command: str
    seconds: float
    exit_code: int
    log: str


@dataclass
class Made:
    """An asset that was materialized. `rows` are those of its table afterwards, where it has any.

    `changed` is false for what was only needed to make another.
    """

    asset: str
    changed: bool
    partitions: list[str] = field(default_factory=list)
    rows: int | None = None
    seconds: float = 0.0
    checks: dict[str, str] = field(default_factory=dict)  # name: passed, warned or failed


@dataclass
class Outcome:
    """All of it, in the order of the runs; `failure` is why there was no more."""

    namespace: str
    wanted: Sequence[AssetKey]
    commands: list[Command] = field(default_factory=list)
    made: dict[str, Made] = field(default_factory=dict)
    failure: str | None = None
    seen: set[str] = field(default_factory=set)

    @property
    def ok(self) -> bool:
        """Every command passed, every wanted asset is made, no check of severity ERROR failed."""
        missing = {key.to_user_string() for key in self.wanted} - self.made.keys()
        return not (self.failure or missing or self.failed)

    @property
    def failed(self) -> list[str]:
        """Checks of severity ERROR that failed, with their assets."""
        return [
            f"{made.asset}: {name}"
            for made in self.made.values()
            for name, state in made.checks.items()
            if state == "failed"
        ]

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {
            "namespace": self.namespace,
            "ok": self.ok,
            "failure": self.failure,
            "assets": [asdict(made) for made in self.made.values()],
            "commands": [asdict(command) for command in self.commands],
        }

    def of(self, asset: str) -> Made:
        """What is known of an asset, from its first event on."""
        wanted = {key.to_user_string() for key in self.wanted}
        return self.made.setdefault(asset, Made(asset, asset in wanted))

    def show(self) -> None:
        """The table at the end."""
        from rich.console import Console
        from rich.table import Table

        table = Table()
        for name in ("asset", "partitions"):
            table.add_column(name, no_wrap=True)
        for name in ("rows", "seconds", "checks"):
            table.add_column(name, justify="right")
        table.add_column("")
        for made in self.made.values():
            spans, more = made.partitions[:_MOST_SHOWN], len(made.partitions) - _MOST_SHOWN
            bad = [f"{state}: {name}" for name, state in made.checks.items() if state != "passed"]
            table.add_row(
                made.asset,
                "\n".join([*spans, *([f"and {more} more"] if more > 0 else [])]) or "-",
                "-" if made.rows is None else f"{made.rows:,}",
                f"{made.seconds:.1f}",
                f"{len(made.checks) - len(bad)} of {len(made.checks)}",
                "\n".join([*([] if made.changed else ["only needed"]), *bad]),
            )
        console = Console()
        if not console.is_terminal:
            # A log of CI has no width, and names that are cut off help nobody.
            console = Console(width=_LOG_WIDTH)
        console.print(table)
        total = sum(command.seconds for command in self.commands)
        said = f"{len(self.commands)} commands, {total:.0f} s, namespace {self.namespace}"
        if self.failure:
            console.print(f"failed: {self.failure}", style="red", markup=False, soft_wrap=True)
        for name in self.failed:
            console.print(f"failed: {name}", style="red", markup=False, soft_wrap=True)
        console.print(f"{said}: {'all good' if self.ok else 'FAILED'}")


def runs_of(home: Path) -> set[str]:
    """Ids of the runs in a `DAGSTER_HOME`."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home)) as instance:
        return {record.dagster_run.run_id for record in instance.get_run_records()}


def read_runs(outcome: Outcome, home: Path, period: str | None) -> None:
    """Enter what the runs in a `DAGSTER_HOME` that are not known yet have done."""
    import dagster as dg

    new = runs_of(home) - outcome.seen
    outcome.seen |= new
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for run_id in new:
            _read(outcome, instance, run_id, period)


def _read(outcome: Outcome, instance: DagsterInstance, run_id: str, period: str | None) -> None:
    import dagster as dg

    took = {s.step_key: s for s in instance.get_run_step_stats(run_id)}
    steps = dict[str, set[str]]()
    for entry in instance.all_logs(run_id):
        if done := entry.asset_materialization:
            # An asset also reports periods that it finds made; those are not what was asked for.
            if "reported_by" in done.metadata:
                continue
            made = outcome.of(done.asset_key.to_user_string())
            if "dagster/row_count" in done.metadata:
                made.rows = int(done.metadata["dagster/row_count"].value)  # type: ignore[arg-type]
            if period and period not in made.partitions:
                made.partitions.append(period)
            steps.setdefault(made.asset, set()).add(entry.step_key or "")
        elif check := entry.asset_check_evaluation:
            made, name = outcome.of(check.asset_key.to_user_string()), check.check_name
            is_error = check.severity == dg.AssetCheckSeverity.ERROR
            state = "passed" if check.passed else "failed" if is_error else "warned"
            # A check runs with each range of periods: the worst of them counts.
            made.checks[name] = max(made.checks.get(name, state), state, key=_STATES.index)
    for asset, keys in steps.items():
        for stats in (took[key] for key in keys if key in took):
            if stats.start_time and stats.end_time:
                seconds = outcome.made[asset].seconds + stats.end_time - stats.start_time
                outcome.made[asset].seconds = round(seconds, 1)

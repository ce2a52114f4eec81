"""Samples -> changed assets, by the commands that a person could type.

Belongs here: the order of commands, what each is given, when to stop. Does not belong here: the
plan (`orchestration.bringing`), reading what the runs have done (`changed_outcome.py`).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from de_stack.cli.changed_outcome import Command, Outcome, read_runs, runs_of
from de_stack.failures import Failure, PermanentFailure

if TYPE_CHECKING:
    from dagster import AssetKey, Definitions

    from de_stack.orchestration.bringing import Bringing, Derived
    from de_stack.settings import Settings

_SHOWN_LINES = 40
_NEEDED = ("kafka_bootstrap", "ledger_dsn", "serving_dsn", "spark_remote", "lake_uri")
_FIX = (
    "a list of the arguments of `de-stack` that bring some rows in, e.g.\n"
    "  - [replay, weather.days, de_stack_tests/domains/weather/sample.csv]\n"
    "  - [generate, weather.days, --sink, kafka, --count, '1000']"
)


def bring(
    root: Path,
    location: Definitions,
    wanted: Sequence[AssetKey],
    namespace: str | None,
    as_json: bool,
) -> Outcome:
    """Make assets from samples, in a namespace of its own. A failed command is in the outcome.

    Raises:
        Failure: a domain has no sample, the namespace is no name, or the systems are not known.
    """
    from de_stack.orchestration.bringing import Bringing
    from de_stack.settings import Settings

    settings = Settings(namespace=namespace or f"ci_{os.urandom(4).hex()}")
    for name in _NEEDED:
        settings.need(name)
    bringing = Bringing(location)
    plan = bringing.plan(wanted)
    samples = [words for domain in plan.domains for words in sample(root, domain)]
    work = _Work(root, settings, as_json, Outcome(settings.namespace, wanted))
    try:
        work.de_stack(["init"])
        for words in samples:
            work.de_stack(words)
        work.all_of(bringing, plan)
    except Failure as failure:
        work.outcome.failure = str(failure)
    return work.outcome


def sample(root: Path, domain: str) -> list[list[str]]:
    """The commands that bring a domain's sample in: `sample.yaml` beside its tests.

    Raises:
        PermanentFailure: there is none, or it is no list of commands.
    """
    import yaml

    path = root / "de_stack_tests" / "domains" / domain / "sample.yaml"
    tried = f"read {path.relative_to(root)}"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PermanentFailure(tried, str(error.strerror), _FIX) from error
    except yaml.YAMLError as error:
        raise PermanentFailure(tried, str(error), _FIX) from error
    is_list = isinstance(found, list) and found and all(isinstance(c, list) and c for c in found)
    if not is_list or not all(isinstance(word, str) for words in found for word in words):
        raise PermanentFailure(tried, "no list of lists of texts (quote numbers)", _FIX)
    return found


@dataclass
class _Work:
    """Commands one after the other; their output goes into files of one folder."""

    root: Path
    settings: Settings
    is_quiet: bool
    outcome: Outcome

    def __post_init__(self) -> None:
        self._folder = self.settings.home / "changed" / self.settings.namespace
        self._dagster = self._folder / "dagster"
        self._dagster.mkdir(parents=True, exist_ok=True)
        (self._dagster / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        self.outcome.seen |= runs_of(self._dagster)
        # An instance of its own: its runs are read afterwards, and are nobody else's.
        self._own = {
            "DE_STACK_NAMESPACE": self.settings.namespace,
            "DAGSTER_HOME": str(self._dagster),
        }
        pairs = " ".join(f"{name}={shlex.quote(value)}" for name, value in self._own.items())
        self._say(f"\nexport {pairs}")

    def de_stack(self, words: Sequence[str]) -> None:
        self._run(["de-stack", *words])

    def all_of(self, bringing: Bringing, plan: Any) -> None:
        from de_stack.orchestration.bringing import open_period

        for bronze in plan.landed:
            self._materialize([bronze], open_period(bronze, datetime.now(UTC)))
        for derived in plan.derived:
            self._derive(bringing, derived)
        if plan.whole:
            self._materialize(plan.whole)

    def _derive(self, bringing: Bringing, derived: Derived) -> None:
        """All periods that wait; a window may reach into others, and these wait then."""
        from de_stack import partitions

        before: list[Any] = []
        while ranges := bringing.pending(self.settings, derived):
            if ranges == before:
                raise PermanentFailure(
                    f"derive {_names(derived.keys)}", "its periods are still pending after a run"
                )
            for span in ranges:
                self._materialize(derived.keys, *(partitions.key(m, derived.grain) for m in span))
            before = ranges
        if not before:
            raise PermanentFailure(
                f"derive {_names(derived.keys)}",
                "no event period is pending: no good row has landed",
                "look at the domain's sample.yaml, or take another --namespace: one that has its "
                "rows may have nothing new",
            )

    def _materialize(
        self, keys: Sequence[AssetKey], first: str | None = None, last: str | None = None
    ) -> None:
        from de_stack.orchestration.bringing import selection

        words = ["dagster", "asset", "materialize", "-m", "de_stack.definitions"]
        words += ["--select", selection(keys)]
        period = first if last in (None, first) else f"{first}...{last}"
        if period:
            words += ["--partition" if period == first else "--partition-range", period]
        try:
            self._run(words)
        finally:
            read_runs(self.outcome, self._dagster, period)

    def _run(self, words: Sequence[str]) -> None:
        shown, number = shlex.join(words), len(self.outcome.commands) + 1
        log = self._folder / f"{number:02}-{words[0]}.log"
        self._say(f"{shown}")
        began = time.monotonic()
        with log.open("wb") as file:
            done = subprocess.run(  # noqa: S603 - our own commands, our own words
                [str(Path(sys.executable).with_name(words[0])), *words[1:]],
                cwd=self.root,
                env={**os.environ, **self._own},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
        seconds = round(time.monotonic() - began, 1)
        self.outcome.commands.append(Command(shown, seconds, done.returncode, str(log)))
        self._say(f"  # {seconds} s")
        if done.returncode:
            tail = log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
            said = "\n".join(tail)
            typer.echo(said, err=True)
            raise PermanentFailure(shown, f"exit code {done.returncode}", f"read {log}")

    def _say(self, line: str) -> None:
        typer.echo(line, err=self.is_quiet)


def _names(keys: Sequence[AssetKey]) -> str:
    return ", ".join(key.to_user_string() for key in keys)

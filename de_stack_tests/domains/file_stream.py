"""A stream that comes from a file: on its way to Postgres, and what DuckDB makes of the same file.

Belongs here: what the tests of such streams share. Does not belong here: any one stream's facts.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from de_stack import partitions
from de_stack.contracts import Stream, load_stream
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import enter_namespace, materialize, serving

ROOT = Path(__file__).resolve().parents[2]


def replayed(file: Path) -> list[str]:
    """How `de-stack replay` is told what a sample's columns are, from `sample.yaml` beside it."""
    ((_replay, _stream, _file, *words),) = yaml.safe_load(
        file.with_name("sample.yaml").read_text(encoding="utf-8")
    )
    return words


@dataclass
class FileStream:
    """A stream, a file, and how `de-stack replay` is told what the file's columns are.

    `time` and `numbers` are fields; `key` is one, too.
    """

    name: str
    file: Path
    replay: Sequence[str]
    key: str
    time: str
    numbers: Sequence[str]
    settings: Settings | None = field(default=None, init=False)

    @property
    def stream(self) -> Stream:
        return load_stream(self.name)

    def run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Send the file in a namespace of its own, then everything up to Postgres."""
        self.settings = enter_namespace(monkeypatch)
        self.run_again()

    def run_again(self) -> None:
        stream, entity = self.stream, self.stream.entity
        command = str(Path(sys.executable).with_name("de-stack"))
        subprocess.run(
            [command, "replay", self.name, str(self.file), *self.replay],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        where: dict[str, Any] = {"domain": stream.domain, "grain": stream.grain}
        now = partitions.floor(datetime.now(UTC), stream.grain)
        materialize([f"bronze_{entity}"], now, now, **where)
        first, last = (partitions.floor(moment, stream.grain) for moment in self._bounds())
        chain = [f"silver_{entity}", f"stats_{entity}", f"published_stats_{entity}"]
        materialize(chain, first, last, **where)

    def published(self) -> list[dict[str, Any]]:
        """Rows of the statistics in Postgres, by key and window."""
        assert self.settings is not None
        schema, names = self.settings.names.schema(self.stream.domain), self._columns()
        listed = ", ".join(f'"{name}"' for name in names)
        table = f'"{schema}"."stats_{self.stream.entity}"'
        rows = serving(self.settings, f"select {listed} from {table} order by 1, 2")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def expected(self) -> list[dict[str, Any]]:
        """The same from the file, by DuckDB; what is computed in floating point to 1e-9."""
        numbers = ", ".join(
            f"min({n})::double, max({n})::double, favg({n}), stddev_samp({n}), "
            f"quantile_cont({n}::double, 0.5), quantile_cont({n}::double, 0.9), "
            f"quantile_cont({n}::double, 0.99)"
            for n in (_number(self._column(name)) for name in self.numbers)
        )
        sql = (
            f"select {self._key()}, date_trunc('{self.stream.grain}', {self._time()}) as w, "
            f"count(*), {numbers} from t group by all order by 1, 2"
        )
        names, rows = self._columns(), self._read().execute(sql).fetchall()
        return [
            {
                name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
                for name, value in zip(names, row, strict=True)
            }
            for row in rows
        ]

    def _columns(self) -> list[str]:
        of = ("min", "max", "mean", "stddev", "p50", "p90", "p99")
        found = [self.key, "window_start", "count"]
        return found + [f"{name}_{what}" for name in self.numbers for what in of]

    def _bounds(self) -> tuple[datetime, datetime]:
        row = self._read().execute(f"select min({self._time()}), max({self._time()}) from t")
        found = row.fetchone()
        assert found is not None
        return found

    def _read(self) -> duckdb.DuckDBPyConnection:
        db = duckdb.connect()
        db.execute("set timezone = 'UTC'")
        # By position and by rules that are said: DuckDB's own guesses are not those of `replay`.
        names = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(self._header())))
        reader = (
            f"read_csv(?, columns = {{{names}}}, auto_detect = false, header = true, delim = ',', "
            "quote = '\"', escape = '\"', comment = '')"
        )
        db.execute(f"create table t as select * from {reader}", [str(self.file)])
        return db

    def _header(self) -> list[str]:
        with self.file.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file))

    def _given(self, option: str) -> dict[str, str]:
        pairs = zip(self.replay, self.replay[1:], strict=False)
        return dict(value.split("=", 1) for name, value in pairs if name == option)

    def _column(self, name: str) -> str:
        return f"c{self._header().index(self._given('--map')[name])}"

    def _key(self) -> str:
        if constant := self._given("--set").get(self.key):
            return "'" + constant.replace("'", "''") + "'"
        kind = {"integer": "bigint"}.get(self.stream.field(self.key).type, "varchar")
        return f"{self._column(self.key)}::{kind}"

    def _time(self) -> str:
        column = self._column(self.time)
        if "--time-format" not in self.replay:
            return f"{column}::timestamptz"
        form = self.replay[list(self.replay).index("--time-format") + 1]
        if scale := {"s": 1_000_000, "ms": 1_000, "us": 1}.get(form):
            return f"make_timestamp(({column}::decimal(38, 6) * {scale})::bigint)::timestamptz"
        return f"strptime(trim({column}), '{form}')::timestamptz"


def _number(column: str) -> str:
    return f"try_cast({column} as double)"

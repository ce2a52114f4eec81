"""A file of daily prices, replayed as trades: the daily table has the file's closes and volumes.

Belongs here: the command that `docs/analysis.md` names, on a month of real prices. Does not belong
here: files of other forms (`integration/test_replay_file.py`), the analysis.
"""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from de_stack.defs.stocks.verify import PARITY
from de_stack.flow.continuous import parity_tables
from de_stack.flow.counts import count
from de_stack.settings import Settings
from de_stack_tests.domains.stocks.trading import TICKS, published, run_what_is_asked
from de_stack_tests.integration.pipeline import enter_namespace, materialize, this_hour
from de_stack_tests.services import REPOSITORY

# Four stocks over the turn of a year, newest first, as `stock_daily.csv` has them.
FILE = Path(__file__).with_name("daily_bars.csv")


@pytest.fixture
def settings(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A namespace of its own."""
    return enter_namespace(monkeypatch)


def written() -> list[str]:
    """The command as it is written for people, of our file."""
    text = (REPOSITORY / "docs" / "analysis.md").read_text(encoding="utf-8")
    _, _, section = text.partition("\n## From a file of your own\n")
    (command,) = re.findall(r"^ +(de-stack replay (?:.*\\\n)*.*)", section, re.MULTILINE)
    program, *words = shlex.split(command.replace("\\\n", " "))
    assert words.count("stock_daily.csv") == 1
    words[words.index("stock_daily.csv")] = str(FILE)
    return [str(Path(sys.executable).with_name(program)), *words, "--json"]


def test_a_file_of_days_comes_to_the_daily_table_with_its_closes_and_volumes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80
    done = subprocess.run(written(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["rows"], said["sent"], said["refused"]) == (80, 80, {})
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(["bronze_ticks"], this_hour(), domain="stocks", instance=instance)
        runs = run_what_is_asked(settings, instance)
        # Days lie a day and more from each other: their hours are no runs of their own.
        assert len(runs) <= 2
        daily = ["gold_ohlcv_1d", "published_gold_ohlcv_1d"]
        materialize(daily, domain="stocks", instance=instance)
    listed = "stock_name, day, open, high, low, close, volume, ticks"
    bars = published(settings, "gold_ohlcv_1d", listed)
    assert bars == sorted(
        (
            row["Stock"],
            date.fromisoformat(row["Date"]),
            *[float(row["Close"])] * 4,
            int(float(row["Volume"])),
            1,
        )
        for row in rows
    )
    found = count(settings, TICKS)
    assert (found.silver, found.published, found.pending) == (80, 80, 0)
    assert found.agree
    # The check of parity looks at all these hours at once; at parts of them where they hold much.
    days = [datetime.combine(day, time(), UTC) for _, day, *_ in bars]
    first, last = min(days), max(days)
    assert parity_tables.spans(settings, PARITY, first, last) == [(first, last)]
    monkeypatch.setattr(parity_tables, "_MOST_ROWS", 30)
    parts = parity_tables.spans(settings, PARITY, first, last)
    assert (parts[0][0], parts[-1][1]) == (first, last)
    assert all(b[0] - a[1] == timedelta(hours=1) for a, b in pairwise(parts))
    held = [sum(start <= day <= end for day in days) for start, end in parts]
    assert sum(held) == 80 and len(parts) > 2 and max(held) <= 30

"""A CSV of somebody's -> `de-stack new stream` -> a row in Postgres, with no file changed.

Belongs here: what was written, run in a checkout of its own on the session's services. Does not
belong here: what is drafted and asked for (`unit/test_scaffold.py`).
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from de_stack_tests.integration.checkouts import copied, run

# A row a day, none of an entity's name, months and days in the American order, a gap said as NA.
ROWS = "Date,Max_TemperatureC,Mean_TemperatureC,Min_TemperatureC\n" + "".join(
    f"{1 + i // 28}/{1 + i % 28}/1996,{10 + i % 17},{'NA' if i % 50 == 7 else 5 + i % 13},{i % 9}\n"
    for i in range(168)
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copied(tmp_path / "checkout")


def checksums(root: Path) -> dict[str, str]:
    """Of every file of a folder but what is derived."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and not {"__pycache__", "target", ".pytest_cache"} & set(path.parts)
        and path.name != "_sources.yml"
    }


def test_a_csv_becomes_a_stream_that_runs_and_no_file_is_changed(stack, checkout, tmp_path) -> None:
    file = tmp_path / "weather.csv"
    file.write_text(ROWS)
    before = checksums(checkout)
    de_stack = str(Path(sys.executable).with_name("de-stack"))

    made = run(checkout, de_stack, "new", "stream", "weather.days", "--from", str(file), "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert (told["key"], told["event_time"], told["grain"]) == ("source_id", "observed_at", "month")
    after = checksums(checkout)
    assert before.items() <= after.items(), "a file that was there has changed"
    assert sorted(after.keys() - before.keys()) == sorted(told["files"])

    # Its own tests: sent, landed, refined, published, held against DuckDB, and all that again.
    ran = run(checkout, sys.executable, "-m", "pytest", "-q", "de_stack_tests/domains/weather")
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
    assert "2 passed" in ran.stdout
    # It keeps to the rules of the house.
    house = ["de_stack_tests/unit/test_house_graph.py", "de_stack_tests/unit/test_house_imports.py"]
    ran = run(checkout, sys.executable, "-m", "pytest", "-q", *house)
    assert ran.returncode == 0, ran.stdout[-3000:]

    again = run(checkout, de_stack, "new", "stream", "weather.days", "--from", str(file))
    assert again.returncode == 1 and "is there already" in again.stderr

"""Day files to bronze on real services: what is kept of them, kills, several at once."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from de_stack.defs.tweets.core.reach import REACHED
from de_stack.failures import PermanentFailure
from de_stack.flow.day_files import bronze
from de_stack.flow.load import Loaded, load
from de_stack.resources.lake import Lake
from de_stack_tests.integration.tweeting import (
    NOW,
    SAMPLE,
    TWEETS,
    agreed,
    bring,
    counted,
    pending,
    rows_of,
)
from de_stack_tests.seeds import SEEDS


def test_texts_ids_and_bad_rows_are_kept_as_they_came(settings) -> None:
    done = bring(settings, *SAMPLE)
    assert [d.bad for d in done if d.bad] == [
        {
            "missing:user_id": 1,
            "wrong_type:status_id": 1,
            "wrong_type:created_at": 2,
            "wrong_type:reply_to_user_id": 1,
        }
    ]
    assert [d.ignored_columns for d in done if d.ignored_columns] == [["geo"]]
    other = [d for d in done if set(d.days) != {d.day}]
    assert [(d.day, set(d.days)) for d in other] == [("2022-01-03", {"2022-01-02", "2022-01-03"})]
    found = rows_of(settings)
    assert len(found) == sum(d.rows for d in done)
    for path in SAMPLE:
        with path.open(encoding="utf-8-sig", newline="") as file:
            raw = list(csv.DictReader(file))
        mine = [row for row in found if row["file"] == path.name]
        assert [row["row"] for row in mine] == list(range(1, len(raw) + 1))
        for row, cells in zip(mine, raw, strict=True):
            assert {k: v for k, v in row["raw"].items() if v is not None} == {
                k: v for k, v in cells.items() if k != "geo"
            }
            if row["error"] is None:
                assert row["record"]["text"] == cells["text"]
                assert str(row["record"]["status_id"]) == cells["status_id"]
            else:
                assert row["record"] is None and row["event_hour"] is None
                assert str(row["event_date"])[:7] == path.stem.removeprefix("tweets_")[:7]


def test_rows_that_were_refused_are_judged_anew_by_another_contract(settings) -> None:
    bring(settings, *SAMPLE)
    before = rows_of(settings)
    (bad,) = {row["file"] for row in before if row["error"]}
    path = next(path for path in SAMPLE if path.name == bad)
    fields = tuple(replace(f, required=f.required and f.name != "user_id") for f in TWEETS.fields)
    looser = replace(TWEETS, version="2.0.0", fields=fields)
    again = [load(settings, looser, path, REACHED, "test", NOW) for path in SAMPLE]
    assert {d.file: d.outcome for d in again if d.outcome != "unchanged"} == {bad: "replaced"}
    after = rows_of(settings)
    assert len(after) == len(before)
    errors = [[r["error"] for r in rows if r["error"]] for rows in (before, after)]
    assert len(errors[1]) == len(errors[0]) - 1
    assert not any(error.startswith("missing:user_id") for error in errors[1])
    assert load(settings, looser, path, REACHED, "test", NOW).outcome == "unchanged"
    agreed(settings)


_WORKER = """
import sys, pathlib, datetime, deltalake, psycopg, pyarrow.dataset
from de_stack.contracts.day_files import load_day_files
from de_stack.defs.tweets.core.reach import REACHED
from de_stack.flow.load import load
from de_stack.settings import Settings
given = Settings(), load_day_files("tweets"), pathlib.Path(sys.argv[1]), REACHED
print("go", flush=True)
now = datetime.datetime.now(datetime.UTC)
load(*given, "killed", now, lambda _, rows: print(rows, flush=True))
print("done", flush=True)
"""


def big(folder: Path, rows: int, day: str = "2022-01-01") -> Path:
    path = folder / f"big {day}.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("status_id,user_id,created_at,screen_name,text,source\n")
        for i in range(rows):
            file.write(f'{10**18 + i},{i % 97},{day}T00:00:00Z,u{i % 97},"tweet\n{i}",web\n')
    return path


@pytest.mark.parametrize("seed", SEEDS)
def test_a_load_that_is_killed_is_whole_or_not_there_and_the_next_one_makes_it_exact(
    settings, tmp_path, seed
) -> None:
    rng, kills = random.Random(seed), 0
    small = bring(settings, SAMPLE[0])[0].rows
    paths = [big(tmp_path, 20_000, f"2022-01-0{day}") for day in range(1, 6)]
    for path in paths:
        worker = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _WORKER, str(path)],
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            text=True,
        )
        # While it reads; and, mostly, when all is read and the commit is made.
        until, most = rng.choice([("go\n", 0.5), ("20000\n", 0.05), ("20000\n", 0.2)])
        assert worker.stdout is not None and until in iter(worker.stdout.readline, "")
        time.sleep(rng.uniform(0, most))
        worker.send_signal(signal.SIGKILL)
        is_killed = "done" not in worker.stdout.read()
        kills += is_killed
        worker.wait()
        found = counted(settings, f"count(*) filter (where file = '{path.name}')")
        assert found in ((0, 20_000) if is_killed else (20_000,))
    print(f"seed {seed}: {kills} of {len(paths)} killed under way")
    bring(settings, *paths)
    assert counted(settings, "count(*)") == small + 100_000
    assert counted(settings, "count(distinct concat(file, '/', \"row\"))") == small + 100_000
    agreed(settings)
    days = [str(day.date()) for day in pending(settings)]
    assert days == ["2021-12-30", *(path.stem.removeprefix("big ") for path in paths)]


def test_loads_at_once_fence_each_other(settings, tmp_path) -> None:
    one, two = big(tmp_path, 3000), big(tmp_path, 3000, "2022-01-02")
    results: list[Loaded] = []
    failures: list[BaseException] = []

    def run(path: Path) -> None:
        try:
            results.extend(bring(settings, path))
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(p,)) for p in (one, one, two, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(r.outcome for r in results) == ["loaded", "loaded", "unchanged", "unchanged"]
    found = rows_of(settings)
    assert len({(row["file"], row["row"]) for row in found}) == len(found) == 6000
    agreed(settings)


def test_a_file_that_cannot_be_read_leaves_nothing_and_says_where(settings, tmp_path) -> None:
    bring(settings, SAMPLE[0])
    version = Lake(settings).version(bronze(settings, TWEETS).uri)
    broken = tmp_path / SAMPLE[0].name
    broken.write_bytes(SAMPLE[0].read_bytes() + b'1,2,"3"4\n')
    lines = broken.read_bytes().count(b"\n")
    with pytest.raises(PermanentFailure, match=rf"line {lines}, column 8: "):
        bring(settings, broken)
    assert Lake(settings).version(bronze(settings, TWEETS).uri) == version

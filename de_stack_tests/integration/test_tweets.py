"""Tweets from day files to Postgres on real services, with numbers that DuckDB computes itself."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import typer
from typer.testing import CliRunner

from de_stack import partitions
from de_stack.cli import load as command
from de_stack.contracts.day_files import load_day_files
from de_stack.contracts.load import DEFS
from de_stack.defs.tweets import maintain, serve, verify
from de_stack.defs.tweets.core.reach import REACHED
from de_stack.failures import PermanentFailure
from de_stack.flow.day_files import bronze
from de_stack.flow.ledger import Ledger
from de_stack.flow.ledger_check import check
from de_stack.flow.ledger_rebuild import rebuild
from de_stack.flow.load import Loaded, load
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import serving
from de_stack_tests.integration.test_asset_checks import lose_rows
from de_stack_tests.seeds import SEEDS

TWEETS = load_day_files("tweets")
SAMPLE = sorted((DEFS / "tweets" / "sample").glob("*.csv"))
SERVED = serve.GOLDS
NOW = datetime(2022, 2, 1, tzinfo=UTC)


def bring(settings: Settings, *paths: Path) -> list[Loaded]:
    return [load(settings, TWEETS, path, REACHED, "test", NOW) for path in paths]


def pending(settings: Settings) -> list[datetime]:
    ledger, source = Ledger(settings), bronze(settings, TWEETS).table_id
    days = {d for s in SERVED for d in ledger.pending(s.table(settings).table_id, source)}
    return sorted(days)


def derive_pending(settings: Settings, spark: Any) -> None:
    """What the sensor asks for, without Dagster."""
    for first, last in partitions.contiguous(pending(settings), "day"):
        for served in SERVED:
            served.compute(settings, first, last, spark, "test")
            served.publish(settings, first, last, "test")


def published(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    schema = settings.names.schema("tweets")
    return {
        s.entity: serving(settings, f"select * from {schema}.gold_{s.entity} order by 1, 2, 3, 4")
        for s in SERVED
    }


def computed(paths: Iterable[Path]) -> dict[str, list[tuple[Any, ...]]]:
    """The same from the files, by another engine and other SQL."""
    db = duckdb.connect()
    db.execute("set TimeZone = 'UTC'")
    db.execute(
        """
        create table t as
        with rows as (
            select *, parse_filename(filename) as file
            from read_csv(?, all_varchar = true, header = true, union_by_name = true,
                          filename = true, quote = '"', escape = '"', delim = ',')),
        good as (
            select file, status_id::bigint as status_id, user_id::bigint as user_id,
                   created_at::timestamptz as created_at, screen_name, coalesce(text, '') as text,
                   coalesce(source, '') as source, reply_to_status_id::bigint as original,
                   reply_to_user_id::bigint as other
            from rows
            where regexp_full_match(status_id, '\\d+') and regexp_full_match(user_id, '\\d+')
              and regexp_full_match(created_at, '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ')
              and regexp_full_match(coalesce(reply_to_status_id, '0'), '\\d+')
              and regexp_full_match(coalesce(reply_to_user_id, '0'), '\\d+'))
        select *, created_at::date as day from good
        qualify row_number() over (partition by created_at::date, user_id, status_id
                                   order by file desc) = 1
        """,
        [[str(path) for path in paths]],
    )
    tags = r"(?:^|[^\p{L}\p{M}\p{N}_&])#([\p{N}_]*\p{L}[\p{L}\p{M}\p{N}_]*)"
    summary = db.execute(
        """
        select day, user_id, count(*), list(source),
               list_sort(list_distinct(list_transform(
                   flatten(list(regexp_extract_all(text, ?, 1))), x -> lower(x)))),
               arg_max(screen_name, (created_at, status_id))
        from t group by all order by 1, 2
        """,
        [tags],
    ).fetchall()
    replies = db.execute(
        """
        with originals as (select status_id, min(created_at) as at from t group by 1)
        select day, user_id,
               row_number() over (partition by day, user_id order by created_at, t.status_id),
               t.status_id, created_at, original, other,
               case when o.at::date <= day then epoch(created_at) - epoch(o.at) end
        from t left join originals o on o.status_id = t.original
        where original is not null or other is not null order by 1, 2, 3
        """
    ).fetchall()
    renames = db.execute(
        """
        select day, user_id, old, screen_name, created_at, status_id from (
            select *, lag(screen_name) over (partition by user_id
                                             order by created_at, status_id) as old from t)
        where old <> screen_name order by 1, 2, 3, 4
        """
    ).fetchall()
    counted = [
        (*head, {s: sources.count(s) for s in sources}, *rest)
        for *head, sources, hashtags, name in summary
        for rest in [(hashtags, name)]
    ]
    return {"daily_summary": counted, "replies": replies, "renames": renames}


def rows_of(settings: Settings) -> list[dict[str, Any]]:
    table = bronze(settings, TWEETS)
    return Lake(settings).query(table.uri, 'select * from t order by file, "row"').to_pylist()


def counted(settings: Settings, what: str) -> int:
    uri = bronze(settings, TWEETS).uri
    return Lake(settings).query(uri, f"select {what} as n from t").to_pylist()[0]["n"]


def agreed(settings: Settings) -> None:
    assert [c for c in check(settings) if c.disagreements] == []


@pytest.fixture(scope="module")
def expected() -> dict[str, list[tuple[Any, ...]]]:
    return computed(SAMPLE)


def test_the_sample_comes_out_as_another_engine_has_it(settings, spark, expected) -> None:
    done = bring(settings, *SAMPLE)
    assert [d.outcome for d in done] == ["loaded"] * len(SAMPLE)
    assert all(d.reached == [] for d in done)
    derive_pending(settings, spark)
    found = published(settings)
    assert found == expected
    assert all(found.values())
    assert any(row[-1] is None for row in found["replies"])
    assert any(row[-1] and row[-1] > 86_400 for row in found["replies"])
    golden = [row[1:4] for row in found["renames"] if f"{row[0]}" == "2022-01-01"]
    assert golden == [
        (1001, "Alice", "Alice2"),
        (1003, "Charlie", "Charlie2"),
        (1004, "David", "David2"),
        (1004, "David2", "David3"),
    ]
    agreed(settings)


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_days_loaded_and_derived_in_any_order_come_out_the_same(
    settings, spark, expected, seed
) -> None:
    order = random.Random(seed).sample(SAMPLE, len(SAMPLE))
    print(f"seed {seed}: {[path.name for path in order]}")
    reached = 0
    for path in order:
        (done,) = bring(settings, path)
        reached += len(done.reached)
        derive_pending(settings, spark)
    assert published(settings) == expected
    # Only a run in their order reaches nothing; then this test would prove nothing.
    assert reached or order == SAMPLE
    # A ledger made from the logs only lacks what left no commit: days without any rename.
    rebuild(settings)
    renamed = {str(row[0]) for row in expected["renames"]}
    assert not renamed & {str(day.date()) for day in pending(settings)}
    derive_pending(settings, spark)
    assert pending(settings) == []
    assert published(settings) == expected
    agreed(settings)


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


def test_the_same_content_adds_nothing_and_a_changed_file_takes_the_place_of_the_old(
    settings, spark, tmp_path
) -> None:
    bring(settings, *SAMPLE)
    derive_pending(settings, spark)
    version, before = Lake(settings).version(bronze(settings, TWEETS).uri), rows_of(settings)
    copied = tmp_path / "copy of 2022-01-02.csv"
    copied.write_bytes(SAMPLE[3].read_bytes())
    again = bring(settings, *SAMPLE, copied)
    assert {d.outcome for d in again} == {"unchanged"}
    assert again[-1].same_as == SAMPLE[3].name
    assert Lake(settings).version(bronze(settings, TWEETS).uri) == version
    assert pending(settings) == []

    # One of Alice's tweets of 2021-12-31 has another name, the last rows are gone.
    changed = tmp_path / SAMPLE[1].name
    lines = SAMPLE[1].read_bytes().decode().split("\r\n")
    place = max(i for i, line in enumerate(lines) if ",1001," in line[:30])
    lines[place] = lines[place].replace(",Alice,", ",Alicia,")
    changed.write_bytes(("\r\n".join(lines[:-4]) + "\r\n").encode())
    (done,) = bring(settings, changed)
    assert (done.outcome, done.replaced) == (
        "replaced",
        sum(r["file"] == changed.name for r in before),
    )
    assert done.rows < done.replaced
    assert "2022-01-01" in done.reached
    derive_pending(settings, spark)
    now = [changed if path.name == changed.name else path for path in SAMPLE]
    assert published(settings) == computed(now) != computed(SAMPLE)
    kept = [row for row in before if row["file"] != changed.name]
    assert [row for row in rows_of(settings) if row["file"] != changed.name] == kept
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


def test_maintenance_changes_no_row_and_a_summary_that_lost_some_is_found(
    settings, spark, tmp_path
) -> None:
    bring(settings, *SAMPLE)
    derive_pending(settings, spark)
    before = rows_of(settings), published(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        for asset in maintain.MAINTAINED:
            assert dg.materialize([asset], resources={"settings": settings}, instance=instance)
    assert (rows_of(settings), published(settings)) == before
    # Files of several days' loads are one now: a load takes its own rows out of it.
    changed = tmp_path / SAMPLE[2].name
    changed.write_bytes(b"\n".join(SAMPLE[2].read_bytes().split(b"\n")[:1]) + b"\n")
    (done,) = bring(settings, changed)
    assert (done.outcome, done.rows) == ("replaced", 0)
    assert rows_of(settings) == [row for row in before[0] if row["file"] != changed.name]
    assert "2022-01-02" in done.reached
    settled = 6 - len(pending(settings))
    assert settled >= 2
    assert verify.differences(settings, None) == (settled, {})
    agreed(settings)
    lose_rows(settings, serve.DAILY_SUMMARY.table(settings))
    found, wrong = verify.differences(settings, None)
    assert found == len(wrong) == settled


def test_a_file_that_cannot_be_read_leaves_nothing_and_says_where(settings, tmp_path) -> None:
    bring(settings, SAMPLE[0])
    version = Lake(settings).version(bronze(settings, TWEETS).uri)
    broken = tmp_path / SAMPLE[0].name
    broken.write_bytes(SAMPLE[0].read_bytes() + b'1,2,"3"4\n')
    lines = broken.read_bytes().count(b"\n")
    with pytest.raises(PermanentFailure, match=rf"line {lines}, column 8: "):
        bring(settings, broken)
    assert Lake(settings).version(bronze(settings, TWEETS).uri) == version


def typed(*words: str) -> Any:
    app = typer.Typer()
    command.register(app)
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def test_the_command_tells_dagster_which_days_are_there(settings, monkeypatch, tmp_path) -> None:
    key = dg.AssetKey(["tweets", "bronze_tweets"])
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    # One whose process was killed before it could say so.
    bring(settings, SAMPLE[0])
    monkeypatch.setattr(command, "_dagster_home", lambda _settings: str(tmp_path))
    assert typed("tweets", str(SAMPLE[2]), str(SAMPLE[4])).exit_code == 0
    with dg.DagsterInstance.get() as instance:
        # The last file also has rows of the day before.
        assert instance.get_materialized_partitions(key) == {
            *("2021-12-30", "2022-01-01", "2022-01-02", "2022-01-03")
        }
    shown = typed("tweets", *map(str, SAMPLE)).output.splitlines()
    assert [line.split(": ")[1].split(",")[0].split(" ")[0] for line in shown] == [
        *("unchanged", "loaded", "unchanged", "loaded", "unchanged", "loaded")
    ]
    assert "reaches 2022-01-01" in shown[1] and "ignored columns: geo" in shown[3]


def test_the_command_loads_the_sample_and_the_assets_bring_it_to_postgres(
    settings, expected
) -> None:
    from de_stack.definitions import defs

    first = typed("tweets", "--sample", "--json")
    assert first.exit_code == 0, first.output
    said = [json.loads(line) for line in first.output.splitlines()]
    assert [s["outcome"] for s in said] == ["loaded"] * len(SAMPLE)
    again = typed("tweets", str(SAMPLE[2]))
    assert "unchanged, loaded before" in again.output and "5 bad" in again.output

    location = defs()
    with dg.DagsterInstance.ephemeral() as instance:
        (sensor,) = [s for s in location.sensors or [] if s.name == "tweets__tweets__derive"]
        requests = asked(sensor, instance, settings)
        assert len(requests) == 1
        days = [requests[0].tags[f"dagster/asset_partition_range_{e}"] for e in ("start", "end")]
        assert days == ["2021-12-30", "2022-01-04"]
        done = location.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=requests[0].asset_selection, tags=requests[0].tags, instance=instance
        )
        assert done.success
        assert published(settings) == expected
        evaluations = done.get_asset_check_evaluations()
        assert len(evaluations) == 4
        assert all(e.passed for e in evaluations)
        assert verify.differences(settings, None) == (6, {})
        assert asked(sensor, instance, settings) == []
        # By hand, for one day: it is a no-op in Postgres' eyes.
        again = location.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[dg.AssetKey(["tweets", "gold_renames"])],
            partition_key="2022-01-01",
            instance=instance,
        )
        (event,) = again.asset_materializations_for_node("tweets__gold_renames")
        assert event.metadata["rows"].value == 4


def asked(sensor: Any, instance: dg.DagsterInstance, settings: Settings) -> list[dg.RunRequest]:
    context = dg.build_sensor_context(instance=instance, resources={"settings": settings})
    result = sensor(context)
    return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []

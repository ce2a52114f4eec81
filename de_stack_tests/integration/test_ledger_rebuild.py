"""The ledger against its tables on real services: each disagreement named, all of it made anew."""

import dataclasses
import json
import re
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from de_stack.cli import ledger as ledger_cli
from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow import commits, counts, land, late
from de_stack.flow.bronze import bronze
from de_stack.flow.ledger import Ledger
from de_stack.flow.ledger_check import check
from de_stack.flow.ledger_rebuild import rebuild
from de_stack.flow.refine import silver
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    CHAIN,
    HOUR,
    enter_namespace,
    materialize,
    measure,
    produce,
    session,
    this_hour,
)
from de_stack_tests.integration.test_late import STREAM, view


def rows(settings: Settings, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with Postgres(settings, "ledger").transaction("in a test") as db:
        done = db.execute(sql.encode(), values)
        return done.fetchall() if done.description else []


def everything(settings: Settings) -> dict[str, Any]:
    """What the ledger knows of this namespace, without when and in which order it was told."""
    mine = f"{settings.namespace}.%"
    return {
        "commits": rows(
            settings, "select * from ledger.commits where table_id like %s order by 1, 2", mine
        ),
        "touched": rows(
            settings, "select * from ledger.touched where table_id like %s order by 1, 2, 3", mine
        ),
        "applied": rows(
            settings,
            "select consumer, event_hour, source_version, run_id, source from ledger.applied "
            "where consumer like %s order by 1, 2",
            mine,
        ),
        "decisions": rows(
            settings, "select * from ledger.decisions where subject like %s order by id", mine
        ),
        "pending": view(settings, "pending"),
        "held": view(settings, "held"),
        "late": [(h.event_hour, h.state) for h in late.late_hours(settings, STREAM)],
        "counts": counts.count(settings, STREAM),
    }


def disagreements(settings: Settings) -> list[str]:
    return [f"{c.name.split('.')[-1]}: {text}" for c in check(settings) for text in c.disagreements]


@pytest.fixture(scope="module")
def mixed(stack: Settings) -> Iterator[Settings]:  # noqa: ARG001
    """Hours that are done, held, released and new; a look-back of a second instead of days.

    For all tests of this module: each but the last leaves a ledger that agrees.
    """
    quick = dataclasses.replace(STREAM, look_back=timedelta(seconds=1))
    with pytest.MonkeyPatch.context() as patch:
        settings = enter_namespace(patch)
        patch.setattr(f"{__name__}.STREAM", quick)

        def landed(*hours: datetime) -> None:
            produce(settings, [measure("a", 1.0, hour) for hour in hours])
            land.land(settings, quick, session(settings), "test")

        done, held, released, new = (this_hour() - timedelta(days=9) + i * HOUR for i in range(4))
        landed(done, held, released)
        materialize(CHAIN, done, released)
        time.sleep(1.1)
        landed(held, released, new)
        late.release(settings, quick, [released], "a test", "somebody")
        yield settings


def test_a_ledger_made_anew_gives_the_same_answers(mixed) -> None:
    known = everything(mixed)
    states = [state for _, state in known["late"]]
    assert states == ["done", "held", "pending", "pending"]
    assert (len(known["held"]), len(known["pending"])) == (1, 2)
    assert known["counts"].held == 1
    assert disagreements(mixed) == []
    rebuild(mixed)
    assert everything(mixed) == known
    # Also when nothing is left of it but what people decided.
    for table in ("applied", "touched", "commits"):
        column = "consumer" if table == "applied" else "table_id"
        rows(mixed, f"delete from ledger.{table} where {column} like %s", f"{mixed.namespace}.%")
    rebuild(mixed)
    assert without_source(everything(mixed)) == without_source(known)
    assert disagreements(mixed) == []


def without_source(known: dict[str, Any]) -> dict[str, Any]:
    """Postgres does not know from which table it was filled; the next publication says it."""
    plain = [row[:-1] if ".published_" in row[0] else row for row in known["applied"]]
    return {**known, "applied": plain}


def test_each_disagreement_is_named_and_mended_from_the_tables(mixed) -> None:
    names = mixed.names
    raw, typed = bronze(mixed, STREAM).table_id, silver(mixed, STREAM).table_id
    copy = names.table_id("telemetry", "published", "stats_measures")
    stats = names.table_id("telemetry", "stats", "measures")
    tampered = [
        ("update ledger.commits set token = 'x' where table_id = %s and version = 2", raw)
        + ("bronze_measures: version 2 is another commit than the ledger's",),
        ("update ledger.commits set rows = rows + 1 where table_id = %s and slice = 1", raw)
        + ("bronze_measures: it holds 6 rows, its slices 7",),
        ("update ledger.touched set rows = 9 where table_id = %s and version = 2", raw)
        + ("holds 2 rows, the ledger says 10",),
        ("delete from ledger.touched where table_id = %s", typed)
        + ("silver_measures: .* holds 1 rows, and no commit touched it",),
        ("delete from ledger.applied where consumer = %s", typed)
        + ("its commits used version 1, the ledger says None",),
        ("update ledger.applied set source_version = 99 where consumer = %s", typed)
        + (r"version 99 of .*bronze_measures was used, which ends at 2",),
        ("update ledger.applied set source_version = 99 where consumer = %s", copy)
        + ("published_stats_measures: .* the ledger says version 99, Postgres has 1",),
        (_HOLE, raw) + (r"slice 1: partition \d offsets \d+\.\.\d+ never landed",),
        (_AHEAD, stats) + ("stats_measures: the ledger knows version 7, the log ends at 1",),
    ]
    for sql, subject, message in tampered:
        rows(mixed, sql, subject)
        found = disagreements(mixed)
        assert any(re.search(message, text) for text in found), (message, found)
        rebuild(mixed)
        assert disagreements(mixed) == []


def advised() -> list[str]:
    """What `de-stack ledger check` advises, of these."""
    app = typer.Typer()
    app.command()(ledger_cli.check)
    said = " ".join(CliRunner().invoke(app, []).output.split())
    words = ("bring its folder back", "de-stack rebuild", "de-stack repair", "ledger rebuild")
    return [word for word in words if word in said]


def test_a_table_that_is_not_there_or_cannot_be_read_is_not_forgotten(mixed, tmp_path) -> None:
    names, typed = mixed.names, silver(mixed, STREAM).table_id
    stats = names.table_id("telemetry", "stats", "measures")
    place = Lake(mixed).uri("telemetry", "stats", "measures")
    known = everything(mixed)
    # A disk that is not mounted: begun anew, it would have versions that Postgres has long used.
    shutil.move(place, tmp_path / "away")
    assert disagreements(mixed) == ["stats_measures: the ledger knows it, and no table is there"]
    assert advised() == ["bring its folder back", "de-stack rebuild"]
    with pytest.raises(PermanentFailure, match=f"knows {re.escape(stats)}, and no table is there"):
        rebuild(mixed)
    shutil.move(tmp_path / "away", place)
    assert everything(mixed) == known
    assert disagreements(mixed) == []
    commit = Path(Lake(mixed).uri("telemetry", "silver", "measures")) / _LOG_1
    whole = commit.read_bytes()
    commit.write_bytes(b"")
    (told,) = disagreements(mixed)
    assert told.startswith("silver_measures: its log cannot be read")
    assert advised() == ["de-stack repair"]
    with pytest.raises(PermanentFailure):
        rebuild(mixed)
    with pytest.raises(PermanentFailure):
        counts.count(mixed, STREAM)
    assert rows(mixed, "select count(*) from ledger.touched where table_id = %s", typed) == [(3,)]
    assert view(mixed, "held") == known["held"]
    commit.write_bytes(whole)
    assert disagreements(mixed) == []


def test_a_ledger_that_is_made_anew_under_a_reader_gets_no_hole(mixed, monkeypatch) -> None:
    raw, read = bronze(mixed, STREAM), commits._read
    Ledger(mixed).forget(raw.table_id, 2)

    def meanwhile(*found: Any, **how: Any) -> Any:
        # A rebuild that has read the log before version 1 was there.
        Ledger(mixed).forget(raw.table_id, 1)
        return read(*found, **how)

    with monkeypatch.context() as patch:
        patch.setattr(commits, "_read", meanwhile)
        with pytest.raises(TransientFailure, match="made anew meanwhile"):
            commits.reconcile(Lake(mixed), Ledger(mixed), raw)
    assert commits.reconcile(Lake(mixed), Ledger(mixed), raw) == 2
    assert disagreements(mixed) == []


_HOLE = (
    "update ledger.commits set details = jsonb_set(details, '{start}', (select "
    "jsonb_object_agg(key, value::int + 1) from jsonb_each_text(details->'start'))) "
    "where table_id = %s and slice = 1"
)
_AHEAD = (
    "insert into ledger.commits select table_id, 7, kind, token, slice, rows, details, "
    "committed_at from ledger.commits where table_id = %s and version = 1"
)
_LOG_1 = f"_delta_log/{1:020d}.json"


def test_the_command_exits_with_1_where_something_disagrees(mixed) -> None:
    app = typer.Typer()
    ledger_cli.register(app)
    # A typer app of one group needs a second command to keep the group's name.
    app.command("nothing")(lambda: None)

    def typed(*words: str, answer: str = "") -> tuple[int, str]:
        result = CliRunner().invoke(app, ["ledger", *words], input=answer)
        return result.exit_code, result.output

    code, told = typed("check", "--json")
    assert code == 0
    assert {one["name"].split(".")[-1] for one in json.loads(told)} >= {
        "bronze_measures",
        "silver_measures",
        "stats_measures",
        "published_stats_measures",
    }
    rows(mixed, "delete from ledger.applied where consumer like %s", f"{mixed.namespace}.%")
    assert typed("check")[0] == 1
    assert typed("rebuild", answer="n\n")[0] == 1
    assert typed("check")[0] == 1
    code, told = typed("rebuild", "--yes")
    assert code == 0
    assert "silver_measures: 2 commits, 3 touched and 3 used event hours" in told
    assert typed("check")[0] == 0


def test_derivations_go_on_from_a_ledger_that_was_made_anew(mixed) -> None:
    rebuild(mixed)
    known = everything(mixed)
    assert (len(known["held"]), len(known["pending"])) == (1, 2)
    materialize(CHAIN, known["pending"][0], known["pending"][-1])
    assert view(mixed, "pending") == []
    assert view(mixed, "held") == known["held"]
    assert disagreements(mixed) == []

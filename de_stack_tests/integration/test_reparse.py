"""A contract that was mended turns letters into rows, beside landings, replays and itself."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from de_stack.contracts import Stream
from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow import commits, counts, reparse
from de_stack.flow import replay as again
from de_stack.flow.bronze import bronze
from de_stack.flow.dead_letters import has_news
from de_stack.flow.ledger import Ledger
from de_stack.flow.table_check import check_table
from de_stack.flow.tables import Table
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings
from de_stack_tests.integration.lettering import (
    HOT,
    HOUR,
    LOOSE,
    STREAM,
    landed,
    letters,
    mended,
    pending,
    refine_all,
    silver_rows,
    topic_messages,
)
from de_stack_tests.integration.pipeline import (
    measure,
    produce,
)


def cut_off_anywhere(settings: Settings, table: Table, version: int, tmp_path: Path) -> None:
    """A MERGE whose file lost its last lines is refused, however many."""
    shutil.copytree(Path(table.uri) / "_delta_log", tmp_path / "t" / "_delta_log")
    copy = tmp_path / "t" / "_delta_log" / f"{version:020d}.json"
    lines = copy.read_bytes().splitlines(keepends=True)
    lake = Lake(settings)
    assert lake.broken(str(tmp_path / "t"), version) == {}
    for end in range(len(lines)):
        copy.write_bytes(b"".join(lines[:end]))
        assert list(lake.broken(str(tmp_path / "t"), version)) == [version], lines[:end]


def test_a_mended_contract_turns_letters_into_rows_and_keeps_what_lands_meanwhile(
    settings, spark, monkeypatch, tmp_path
) -> None:
    late = HOUR - timedelta(hours=5)
    hot = [json.dumps(measure("a", 9e12, late)).encode(), json.dumps(HOT).encode()]
    produce(settings, [*hot, b"{", measure("b", 2.0, HOUR)], ["x", "y", "z", "good"])
    landed(settings, spark)
    refine_all(settings, spark, STREAM)
    table = bronze(settings, STREAM)
    raw = 'select topic_id, partition, "offset", key, headers, value from t order by 2, 3'
    before = Lake(settings).query(table.uri, raw).to_pylist()
    slice_before = Ledger(settings).landed(table.table_id)
    assert len(letters(settings)) == 3

    (day,) = reparse.reparse(settings, LOOSE, spark, "dry", dry_run=True)
    assert (day.rows, day.changed, day.mended, day.hours, day.version) == (4, 2, 2, 2, None)
    merge = reparse._merge

    def slowly(*args: object) -> None:
        # After the rows were read, before the commit: into the same ingest hour.
        produce(settings, [measure("c", 3.0, HOUR), json.dumps(HOT).encode()], ["new", "bad"])
        landed(settings, spark)
        merge(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(reparse, "_merge", slowly)
        (day,) = reparse.reparse(settings, LOOSE, spark, "test")
    assert day.version is not None
    cut_off_anywhere(settings, table, day.version, tmp_path)
    after = Lake(settings).query(table.uri, raw).to_pylist()
    assert len(after) == 6
    assert all(row in after for row in before)
    landed_now = Ledger(settings).landed(table.table_id)
    assert landed_now is not None
    assert slice_before is not None
    assert landed_now.slice == slice_before.slice + 1

    assert set(pending(settings)) == {late, HOUR}
    refine_all(settings, spark, LOOSE)
    assert {row["event_id"] for row in silver_rows(settings)} == {"x", "y", "good", "new"}
    assert has_news(settings, STREAM)
    assert {x.event_id for x in letters(settings)} == {"z", "bad"}
    total = counts.count(settings, STREAM)
    assert (total.bronze, total.dead, total.silver, total.duplicates) == (6, 2, 4, 0)
    (day,) = reparse.reparse(settings, LOOSE, spark, "the row that landed meanwhile")
    assert (day.changed, day.mended) == (1, 1)
    (day,) = reparse.reparse(settings, LOOSE, spark, "nothing left")
    assert (day.changed, day.version) == (0, None)
    # And back: rows that a stricter contract refuses leave silver.
    list(reparse.reparse(settings, STREAM, spark, "strict again"))
    refine_all(settings, spark, STREAM)
    assert {row["event_id"] for row in silver_rows(settings)} == {"good", "new"}


def test_a_letter_that_was_sent_again_stays_one_when_its_contract_is_mended(
    settings, spark
) -> None:
    produce(settings, [json.dumps(HOT).encode(), b"{"], ["x", "y"])
    landed(settings, spark)
    found = next(x for x in letters(settings) if x.event_id == "x")
    again.replay(settings, STREAM, "me", [found.position], {found.position: mended(found)})
    (day,) = reparse.reparse(settings, LOOSE, spark, "while it is under way")
    assert day.changed == 0
    landed(settings, spark)
    (day,) = reparse.reparse(settings, LOOSE, spark, "when it has landed")
    assert day.changed == 0
    refine_all(settings, spark, STREAM)
    total = counts.count(settings, STREAM)
    assert (total.bronze, total.replayed, total.dead, total.silver) == (3, 1, 1, 1)


def during(patch: pytest.MonkeyPatch, owner: object, name: str, work: Callable) -> None:
    """Once, before a step: what somebody else does meanwhile."""
    step, seen = getattr(owner, name), []

    def wrapped(*args: object) -> object:
        if not seen:
            seen.append(name)
            work()
        return step(*args)

    patch.setattr(owner, name, wrapped)


def test_a_letter_is_not_sent_again_while_a_reparse_may_mend_it(
    settings, spark, monkeypatch
) -> None:
    produce(settings, [json.dumps(HOT).encode(), b"{"], ["x", "y"])
    landed(settings, spark)
    found = next(x for x in letters(settings) if x.event_id == "x")
    in_another_hour = json.dumps(measure("a", 1.0, HOUR - timedelta(hours=3))).encode()
    refused: list[TransientFailure] = []

    def meanwhile() -> None:
        try:
            again.replay(
                settings, STREAM, "me", [found.position], {found.position: in_another_hour}
            )
        except TransientFailure as failure:
            refused.append(failure)
        produce(settings, [measure("b", 2.0, HOUR)], ["good"])
        landed(settings, spark)

    with monkeypatch.context() as patch:
        during(patch, reparse, "_merge", meanwhile)
        (day,) = reparse.reparse(settings, LOOSE, spark, "reparse by her")
    assert day.mended == 1
    refine_all(settings, spark, LOOSE)
    assert [row["event_id"] for row in silver_rows(settings)] == ["good", "x"]
    total = counts.count(settings, STREAM)
    assert (total.bronze, total.replayed, total.dead, total.silver) == (3, 0, 1, 2)
    assert "reparse by her is at it since" in str(refused[0])
    # Afterwards it is no letter any more, and the other one goes.
    with pytest.raises(PermanentFailure, match="there is no such letter"):
        again.replay(settings, STREAM, "me", [found.position])
    assert len(again.replay(settings, STREAM, "me").sent) == 1


def test_a_reparse_waits_for_the_letters_that_are_being_sent_again(
    settings, spark, monkeypatch
) -> None:
    produce(settings, [json.dumps(HOT).encode()], ["x"])
    landed(settings, spark)
    letters(settings)

    def meanwhile() -> None:
        with pytest.raises(TransientFailure, match="replay by me is at it since"):
            list(reparse.reparse(settings, LOOSE, spark, "reparse by her"))
        # Who only counts writes nothing, and two replays are kept apart by their producer.
        (day,) = reparse.reparse(settings, LOOSE, spark, "dry", dry_run=True)
        assert day.mended == 0
        assert len(again.replay(settings, STREAM, "another").under_way) == 0

    during(monkeypatch, again, "_send", meanwhile)
    with pytest.raises(TransientFailure, match="replay to"):
        again.replay(settings, STREAM, "me")
    assert len(topic_messages(settings)) == 2


@pytest.mark.parametrize("is_lost", [False, True], ids=["locked", "lock lost"])
def test_two_reparses_at_once_count_each_row_once(settings, spark, monkeypatch, is_lost) -> None:
    long_ago = STREAM.history_start - timedelta(days=1)
    looser = replace(LOOSE, history_start=long_ago)
    old = measure("a", 1.0, long_ago)
    produce(settings, [json.dumps(one).encode() for one in (HOT, old)], ["hot", "old"])
    landed(settings, spark)
    results: list[object] = []

    def attempt(stream: Stream, who: str) -> None:
        try:
            results.extend(reparse.reparse(settings, stream, spark, who))
        except TransientFailure as failure:
            results.append(failure)

    first = whose(settings)

    def meanwhile() -> None:
        if is_lost:
            end_sessions(settings, first)
        # One of the two rows that the first has counted.
        attempt(LOOSE, "second")

    with monkeypatch.context() as patch:
        during(patch, reparse, "_merge", meanwhile)
        attempt(looser, first)
    assert check_table(settings, bronze(settings, STREAM)).disagreements == []
    refine_all(settings, spark, looser)
    assert counts.count(settings, STREAM).silver == (1 if is_lost else 2)
    failures = [isinstance(result, TransientFailure) for result in results]
    assert failures == ([False, True] if is_lost else [True, False])
    said = "another writer was first" if is_lost else f"{first} is at it since"
    assert said in str(results[failures.index(True)])


def test_a_reparse_whose_lock_is_lost_writes_nothing_more(settings, spark, monkeypatch) -> None:
    first = whose(settings)
    produce(settings, [json.dumps(HOT).encode()], ["x"])
    landed(settings, spark)
    before = commits.reconcile(Lake(settings), Ledger(settings), bronze(settings, STREAM))
    with monkeypatch.context() as patch:
        during(patch, reparse._Day, "_counted", lambda: end_sessions(settings, first))
        with pytest.raises(TransientFailure, match="letters of"):
            list(reparse.reparse(settings, LOOSE, spark, first))
    assert commits.reconcile(Lake(settings), Ledger(settings), bronze(settings, STREAM)) == before
    (day,) = reparse.reparse(settings, LOOSE, spark, "next")
    assert day.mended == 1


def whose(settings: Settings) -> str:
    """A name for a run that no test in the process beside this one has."""
    return f"first of {settings.namespace}"


def end_sessions(settings: Settings, who: str) -> None:
    """As an administrator does, or a server that restarts."""
    with Postgres(settings, "ledger").transaction("end sessions in a test") as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where application_name = %s",
            (f"de_stack: {who}",),
        )

"""Messages against the contract: letters, replays, a contract that was mended."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from de_stack import partitions
from de_stack.contracts import Stream, load_stream
from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow import commits, counts, land, letter_shelf, reparse
from de_stack.flow import refine as refine_to
from de_stack.flow import replay as again
from de_stack.flow.bronze import bronze
from de_stack.flow.dead_letters import enter_letters, has_news
from de_stack.flow.ledger import Ledger
from de_stack.flow.letter_ledger import LetterLedger
from de_stack.flow.letters import REPLAY_OF, Letter
from de_stack.flow.table_check import check_table
from de_stack.flow.tables import Table
from de_stack.resources.kafka import Kafka
from de_stack.resources.kafka_messages import Message, fenced_producer, read_range
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    CHAIN,
    materialize,
    measure,
    produce,
    until_committed,
)

STREAM = load_stream("telemetry.measures")
HOUR = partitions.floor(datetime.now(UTC), "hour") - timedelta(hours=1)
HOT = measure("a", 9e12, HOUR)
LOOSE = replace(
    STREAM,
    version="1.1.0",
    fields=tuple(replace(f, maximum=1e15) if f.name == "value" else f for f in STREAM.fields),
)


def landed(settings: Settings, spark: Callable[[], SparkSession]) -> land.Landing:
    until_committed(settings)
    return land.land(settings, STREAM, spark, "test")


def letters(settings: Settings, only_open: bool = True) -> list[Letter]:
    enter_letters(settings, STREAM, "test")
    return letter_shelf.letters(settings, STREAM, only_open)


def topic_messages(settings: Settings) -> list[Message]:
    state = Kafka(settings).topic_state(settings.names.topic("telemetry", "measures"))
    assert state is not None
    return list(read_range(settings, state.topic, state.begin, state.end))


def pending(settings: Settings) -> list[datetime]:
    names = settings.names
    raw, typed = (names.table_id("telemetry", x, "measures") for x in ("bronze", "silver"))
    return Ledger(settings).pending(typed, raw)


def refine_all(settings: Settings, spark: Callable[[], SparkSession], stream: Stream) -> None:
    for first, last in partitions.contiguous(pending(settings), "hour"):
        refine_to.refine(settings, stream, first, last, spark, "test")


def silver_rows(settings: Settings) -> list[dict]:
    table = refine_to.silver(settings, STREAM)
    return Lake(settings).query(table.uri, "select event_id, value from t order by 1").to_pylist()


def mended(letter: Letter) -> bytes:
    return json.dumps(measure("a", 1.0, HOUR) | {"was": str(letter.position)}).encode()


def run_chain(settings: Settings) -> None:
    for first, last in partitions.contiguous(pending(settings), "hour"):
        materialize(CHAIN, first, last)


def test_each_bad_message_is_a_letter_and_a_mended_file_settles_them(
    settings, spark, tmp_path
) -> None:
    deep = b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    text = json.dumps(measure("a", 1.0, HOUR))
    bad: list[tuple[bytes, str, str | None]] = [
        (b"\xff\xfe", "malformed", None),
        (b'{"source_id":', "malformed", None),
        (b"null", "wrong_type", None),
        (b"[]", "wrong_type", None),
        (b"", "malformed", None),
        (deep, "malformed", None),
        (text.replace("1.0", "NaN").encode(), "malformed", None),
        (text.encode() + b"x", "malformed", None),
        (b'{"source_id": "a"}', "missing", "metric"),
        (text.replace("1.0", '"hot"').encode(), "wrong_type", "value"),
        (text.replace('{"', '{"value": 2.0, "', 1).encode(), "duplicate_key", "value"),
        (json.dumps(HOT).encode(), "out_of_range", "value"),
        (json.dumps(measure("a", 1.0, datetime(1970, 1, 1, tzinfo=UTC))).encode(),)
        + ("before_history", "measured_at"),
    ]
    produce(settings, [b for b, _, _ in bad], [f"id-{i}" for i in range(len(bad) - 1)] + [None])
    produce(settings, [measure("b", 2.0, HOUR)], ["good"])
    assert landed(settings, spark).dead == len(bad)
    assert has_news(settings, STREAM)
    found = {letter.value: letter for letter in letters(settings)}
    assert not has_news(settings, STREAM)
    assert {(v, x.code, x.field) for v, x in found.items()} == set(bad)
    assert all(x.key == b"bad" and x.reason for x in found.values())

    run = CliRunner()
    app = cli()
    listed = json.loads(run.invoke(app, ["dead-letters", "list", "--json"]).stdout)
    assert len(listed) == len(bad)
    only = run.invoke(app, ["dead-letters", "list", "--json", "--code", "missing"]).stdout
    assert [x["field"] for x in json.loads(only)] == ["metric"]
    place = f"{listed[0]['partition']}:{listed[0]['offset']}"
    shown = json.loads(run.invoke(app, ["dead-letters", "show", place, "--json"]).stdout)
    assert shown == listed[0]

    file = tmp_path / "mended.ndjson"
    lines = [
        {"partition": p.partition, "offset": p.offset, "value": mended(x).decode()}
        for x in found.values()
        for p in [x.position]
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    before = len(topic_messages(settings))
    for expected in (len(bad), 0):
        result = run.invoke(app, ["dead-letters", "replay", "--file", str(file), "--json"])
        assert result.exit_code == 0, result.output
        assert len(json.loads(result.stdout)["sent"]) == expected
        assert len(topic_messages(settings)) == before + len(bad)
    sent = [m for m in topic_messages(settings) if m.headers and m.headers[-1][0] == REPLAY_OF]
    assert {m.key for m in sent} == {b"bad"}
    assert {m.headers[-1][1] for m in sent} == {str(x.position).encode() for x in found.values()}
    assert landed(settings, spark).dead == 0
    assert has_news(settings, STREAM)
    assert letters(settings) == []
    settled = letters(settings, only_open=False)
    assert all(x.resolved_by and x.resolved_at for x in settled)
    assert len(again.replay(settings, STREAM, "me", [x.position for x in settled]).settled) == 13
    run_chain(settings)
    total = counts.count(settings, STREAM)
    assert (total.bronze, total.replayed, total.dead, total.silver) == (27, 13, 0, 14)
    assert total.agree
    assert total.settled
    nameless = next(str(x.position) for x in settled if not x.event_id.startswith("id-"))
    ids = {row["event_id"] for row in silver_rows(settings)}
    assert ids == {f"id-{i}" for i in range(12)} | {nameless, "good"}


@pytest.mark.parametrize(
    "values",
    [
        [b"\xff\xfe", b"hex:fffe", b"{\0}", b""],
        ["{\u2028\x85\ufeff}".encode(), b"{\r\n}"],
        [b"{", None],
        [None],
    ],
    ids=["bytes", "ends of lines", "tombstone", "neither key nor value"],
)
def test_a_file_of_letters_that_nobody_edited_sends_the_bytes_that_came(
    settings, spark, tmp_path, values
) -> None:
    topic = settings.names.topic("telemetry", "measures")
    with fenced_producer(settings, settings.namespace, "send in a test") as producer:
        key = b"k" if len(values) > 1 else None
        producer.send(topic, [Message(key, value, []) for value in values])
    assert landed(settings, spark).dead == len(values)
    run, app = CliRunner(), cli()
    listed = run.invoke(app, ["dead-letters", "list", "--json"])
    # README's recipe, with jq's way of writing: what is no control character stands for itself.
    names = ("topic_id", "partition", "offset", "value", "value_hex")
    lines = [{name: letter.get(name) for name in names} for letter in json.loads(listed.stdout)]
    file = tmp_path / "mended.ndjson"
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    file.write_text(text, encoding="utf-8")
    result = run.invoke(app, ["dead-letters", "replay", "--file", str(file)])
    assert result.exit_code == 0, result.exception
    sent = {m.headers[0][1]: m.value for m in topic_messages(settings) if m.headers}
    assert sent == {str(x.position).encode(): x.value for x in letters(settings)}
    assert sorted(map(repr, sent.values())) == sorted(map(repr, values))


def test_a_list_that_is_cut_says_so(settings, spark) -> None:
    produce(settings, [b"{", b"}"])
    landed(settings, spark)
    run, app = CliRunner(), cli()
    for limit, there, is_cut in (("1", 1, True), ("2", 2, False), ("0", 2, False)):
        asked = ["dead-letters", "list", "--limit", limit]
        found = run.invoke(app, [*asked, "--json"])
        assert len(json.loads(found.stdout)) == there
        assert ("--limit 0" in found.stderr) == is_cut
        assert ("--limit 0" in run.invoke(app, asked).stdout) == is_cut


def cli():  # noqa: ANN201
    import typer

    from de_stack.cli import dead_letters
    from de_stack.cli import reparse as command

    app = typer.Typer()
    dead_letters.register(app)
    command.register(app)
    return app


def test_a_replay_that_is_bad_again_is_a_new_letter_that_names_the_old_one(settings, spark) -> None:
    produce(settings, [json.dumps(HOT).encode(), measure("b", 2.0, HOUR)], [None, "good"])
    landed(settings, spark)
    (first,) = letters(settings)
    assert len(again.replay(settings, STREAM, "me").sent) == 1
    assert len(again.replay(settings, STREAM, "me").under_way) == 1
    landed(settings, spark)
    (second,) = letters(settings)
    assert second.replay_of == str(first.position) == second.event_id
    refine_all(settings, spark, STREAM)
    total = counts.count(settings, STREAM)
    assert (total.bronze, total.replayed, total.dead) == (3, 1, 1)
    assert total.bronze - total.replayed == total.silver + total.duplicates + total.dead

    done = again.replay(settings, STREAM, "me", mended={second.position: mended(second)})
    assert done.sent == [second.position]
    landed(settings, spark)
    both = letters(settings, only_open=False)
    assert [x.replayed_as for x in both].count(str(second.position)) == 1
    assert len({x.resolved_by for x in both}) == 1
    assert letters(settings) == []
    refine_all(settings, spark, STREAM)
    total = counts.count(settings, STREAM)
    assert (total.bronze, total.replayed, total.dead, total.silver) == (4, 2, 0, 2)
    assert {row["event_id"] for row in silver_rows(settings)} == {"good", str(first.position)}


@pytest.mark.parametrize("has_landed", [True, False])
def test_a_replay_that_was_killed_before_it_could_confirm_is_not_sent_twice(
    settings, spark, monkeypatch, has_landed
) -> None:
    produce(settings, [b"{", b"}"])
    landed(settings, spark)
    with monkeypatch.context() as patch:
        patch.setattr(LetterLedger, "confirm", _die)
        with pytest.raises(InterruptedError):
            again.replay(settings, STREAM, "killed")
    if has_landed:
        landed(settings, spark)
        with monkeypatch.context() as patch:
            patch.setattr(again, "enter_letters", lambda *_: None)
            done = again.replay(settings, STREAM, "me")
    else:
        done = again.replay(settings, STREAM, "me")
    assert (len(done.sent), len(done.under_way)) == (0, 2)
    assert len(topic_messages(settings)) == 4


def test_a_replay_that_lands_while_the_next_one_looks_for_it_is_found(
    settings, spark, monkeypatch
) -> None:
    produce(settings, [b"{"])
    landed(settings, spark)
    with monkeypatch.context() as patch:
        patch.setattr(LetterLedger, "confirm", _die)
        with pytest.raises(InterruptedError):
            again.replay(settings, STREAM, "killed")
    reads: list[str] = []

    def then_a_landing(name: str, read: Callable) -> Callable:
        def wrapped(*args: object) -> object:
            found = read(*args)
            reads.append(name)
            # Between the two reads, whichever comes first; landing reads the same.
            if len(reads) == 1:
                assert landed(settings, spark).rows == 1
            return found

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(again, "enter_letters", lambda *_: None)
        patch.setattr(commits, "reconcile", then_a_landing("version", commits.reconcile))
        patch.setattr(Ledger, "landed", then_a_landing("landed", Ledger.landed))
        done = again.replay(settings, STREAM, "me")
    assert reads[0] != reads[-1]
    assert (len(done.sent), len(done.under_way)) == (0, 1)
    assert len(topic_messages(settings)) == 2


def test_a_replay_that_was_entered_and_never_sent_is_sent_by_the_next(
    settings, spark, monkeypatch
) -> None:
    produce(settings, [b"{"])
    landed(settings, spark)
    with monkeypatch.context() as patch:
        patch.setattr(again, "_send", _die)
        with pytest.raises(InterruptedError):
            again.replay(settings, STREAM, "killed")
    assert len(again.replay(settings, STREAM, "me").sent) == 1
    assert len(topic_messages(settings)) == 2


def test_a_sender_that_was_overtaken_can_send_nothing_more(settings) -> None:
    topic, name = settings.names.topic("telemetry", "measures"), settings.namespace
    message = Message(b"k", b"v", [])

    def overtaken() -> None:
        with fenced_producer(settings, name, "be slow") as slow:
            with fenced_producer(settings, name, "be quick") as quick:
                quick.send(topic, [message])
            slow.send(topic, [message])

    with pytest.raises(TransientFailure, match="be slow"):
        overtaken()
    assert len(topic_messages(settings)) == 1


def test_a_letter_with_a_header_without_a_value_is_named_and_keeps_no_other_back(
    settings, spark
) -> None:
    from confluent_kafka import Producer

    topic = settings.names.topic("telemetry", "measures")
    client = Producer({"bootstrap.servers": settings.need("kafka_bootstrap")})
    client.produce(topic, b"{", b"k", headers=[("trace", None)])
    client.flush(20)
    produce(settings, [b"["])
    landed(settings, spark)
    one, other = sorted(letters(settings), key=lambda x: x.value != b"{")
    done = again.replay(settings, STREAM, "me")
    assert (done.unsendable, done.sent) == ([one.position], [other.position])
    assert len(topic_messages(settings)) == 3
    done = again.replay(settings, STREAM, "me")
    assert (done.unsendable, done.under_way) == ([one.position], [other.position])


def test_a_letter_that_is_not_there_is_refused_before_anything_is_sent(settings, spark) -> None:
    produce(settings, [b"{"])
    landed(settings, spark)
    (letter,) = letters(settings)
    other = replace(letter.position, offset=99)
    with pytest.raises(PermanentFailure, match="there is no such letter"):
        again.replay(settings, STREAM, "me", [letter.position, other])
    assert len(topic_messages(settings)) == 1


def test_a_letters_table_that_was_dropped_comes_back(settings, spark) -> None:
    produce(settings, [b"{"])
    landed(settings, spark)
    before = letters(settings)
    table = f"{settings.names.schema('telemetry')}.dead_measures"
    with Postgres(settings, "serving").transaction("drop in a test") as connection:
        connection.execute(f"drop table {table}".encode())
    assert letters(settings) == before != []
    assert "open" in str(
        materialize(["dead_measures"])
        .asset_materializations_for_node("telemetry__dead_measures")[0]
        .metadata
    )


def cut_off_anywhere(settings: Settings, table: Table, version: int, tmp_path: Path) -> None:
    """A MERGE whose file lost its last lines is refused, however many."""
    shutil.copytree(Path(table.uri) / "_delta_log", tmp_path / "t" / "_delta_log")
    copy = tmp_path / "t" / "_delta_log" / f"{version:020d}.json"
    lines = copy.read_bytes().splitlines(keepends=True)
    lake = Lake(settings)
    assert lake.broken(str(tmp_path / "t"), version) == ""
    for end in range(len(lines)):
        copy.write_bytes(b"".join(lines[:end]))
        assert lake.broken(str(tmp_path / "t"), version), lines[:end]


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

    def meanwhile() -> None:
        if is_lost:
            end_sessions(settings, "first")
        # One of the two rows that the first has counted.
        attempt(LOOSE, "second")

    with monkeypatch.context() as patch:
        during(patch, reparse, "_merge", meanwhile)
        attempt(looser, "first")
    assert check_table(settings, bronze(settings, STREAM)).disagreements == []
    refine_all(settings, spark, looser)
    assert counts.count(settings, STREAM).silver == (1 if is_lost else 2)
    failures = [isinstance(result, TransientFailure) for result in results]
    assert failures == ([False, True] if is_lost else [True, False])
    said = "another writer was first" if is_lost else "first is at it since"
    assert said in str(results[failures.index(True)])


def test_a_reparse_whose_lock_is_lost_writes_nothing_more(settings, spark, monkeypatch) -> None:
    produce(settings, [json.dumps(HOT).encode()], ["x"])
    landed(settings, spark)
    before = commits.reconcile(Lake(settings), Ledger(settings), bronze(settings, STREAM))
    with monkeypatch.context() as patch:
        during(patch, reparse._Day, "_counted", lambda: end_sessions(settings, "first"))
        with pytest.raises(TransientFailure, match="letters of"):
            list(reparse.reparse(settings, LOOSE, spark, "first"))
    assert commits.reconcile(Lake(settings), Ledger(settings), bronze(settings, STREAM)) == before
    (day,) = reparse.reparse(settings, LOOSE, spark, "next")
    assert day.mended == 1


def end_sessions(settings: Settings, who: str) -> None:
    """As an administrator does, or a server that restarts."""
    with Postgres(settings, "ledger").transaction("end sessions in a test") as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where application_name = %s",
            (f"de_stack: {who}",),
        )


def _die(*_: object) -> None:
    raise InterruptedError("killed")

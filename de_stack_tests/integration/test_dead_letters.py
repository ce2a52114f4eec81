"""Messages against the contract: letters in Postgres, listed, and sent again from a file."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from de_stack.flow import counts
from de_stack.flow import replay as again
from de_stack.flow.dead_letters import has_news
from de_stack.flow.letters import REPLAY_OF
from de_stack.resources.kafka_messages import Message, fenced_producer
from de_stack.resources.postgres import Postgres
from de_stack_tests.integration.lettering import (
    HOT,
    HOUR,
    STREAM,
    landed,
    letters,
    mended,
    run_chain,
    silver_rows,
    topic_messages,
)
from de_stack_tests.integration.pipeline import (
    materialize,
    measure,
    produce,
)


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

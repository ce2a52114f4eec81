"""What the collector refuses becomes a dead letter; what is sent again under a key adds nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from de_stack.contracts.envelope import REJECTED
from de_stack.flow import counts, letter_shelf
from de_stack.flow import replay as again
from de_stack.flow.reconciliation import accepted
from de_stack.flow.reparse import reparse
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings
from de_stack_tests.integration.doors import Collector
from de_stack_tests.integration.lettering import (
    HOT,
    HOUR,
    LOOSE,
    STREAM,
    landed,
    letters,
    refine_all,
    run_chain,
    silver_rows,
    topic_messages,
)
from de_stack_tests.integration.pipeline import measure, produce
from de_stack_tests.integration.test_dead_letters import cli

NDJSON = "application/x-ndjson"


@pytest.fixture
def door(settings: Settings) -> Iterator[Collector]:
    made = Collector(settings)
    yield made
    made.close()


def test_a_refused_item_is_one_letter_from_http_and_is_settled_by_its_mended_successor(
    settings: Settings, spark: Callable[[], Any], door: Collector
) -> None:
    good, at = measure("a", 1.0, HOUR), int(HOUR.timestamp())
    hot = b'{"body":{"timestamp":%d,"message":{"metric":"m","value":"hot"}},"host":"h"}' % at
    bad = {
        json.dumps(good | {"value": "hot"}).encode(): ("wrong_type", "value"),
        # The decoder would say that there is no source_id: the client was told something else.
        hot: ("wrong_type", "value"),
        b'{"value":': ("malformed", None),
        json.dumps(good | {"measured_at": at * 1000, "value": 9e12}).encode(): (
            "out_of_range",
            "value",
        ),
    }
    answer = door.post(b"\n".join([json.dumps(good).encode(), *bad]), content_type=NDJSON)
    told = answer.json()["items"]
    assert [i["status"] for i in told] == [202, 422, 422, 400, 422]
    # Of this one the decoder finds nothing wrong.
    long = door.post(json.dumps(good).encode(), ce_id="x" * 300).json()
    assert (long["status"], long["code"], long["kept"]) == (422, "envelope", True)
    produce(settings, [b"{}"], ["from elsewhere"])
    assert landed(settings, spark).dead == 6

    found = {letter.value: letter for letter in letters(settings)}
    assert len(found) == 6
    elsewhere, nameless = found.pop(b"{}"), found.pop(json.dumps(good).encode())
    assert elsewhere.source == "kafka"
    assert {value: (x.code, x.field) for value, x in found.items()} == bad
    assert {x.event_id: x.reason for x in found.values()} == {
        i["id"]: i["reason"] for i in told[1:]
    }
    assert (nameless.code, nameless.field, nameless.event_id) == (
        "envelope",
        "id",
        str(nameless.position),
    )
    assert {x.source for x in [*found.values(), nameless]} == {"http"}
    assert [found[value].key for value in bad] == [b"a", b"h", None, b"a"]

    run, app = CliRunner(), cli()
    listed = json.loads(run.invoke(app, ["dead-letters", "list", "--json"]).stdout)
    assert sorted(x["source"] for x in listed) == ["http"] * 5 + ["kafka"]
    place = f"{nameless.position.partition}:{nameless.position.offset}"
    shown = run.invoke(app, ["dead-letters", "show", place]).stdout
    assert "source  http" in shown
    assert "http" in run.invoke(app, ["dead-letters", "list"]).stdout

    mended = {x.position: json.dumps(good).encode() for x in found.values()}
    done = again.replay(settings, STREAM, "me", [*mended, nameless.position], mended)
    assert len(done.sent) == 5
    resent = [m for m in topic_messages(settings) if m.headers[-1][0] != REJECTED][-5:]
    assert landed(settings, spark).dead == 0
    assert [x.source for x in letters(settings)] == ["kafka"]
    run_chain(settings)
    assert len(resent) == 5
    total = counts.count(settings, STREAM)
    assert (total.bronze, total.replayed, total.dead, total.silver) == (12, 5, 1, 6)
    assert total.agree


_AT = int(HOUR.timestamp())
# What the door takes beside the contract's own form, and refuses for its value alone.
FORMS = {
    "plain": json.dumps(HOT).encode(),
    "milliseconds": json.dumps(HOT | {"measured_at": _AT * 1000}).encode(),
    "envelope": json.dumps(
        {
            "body": {"timestamp": _AT, "message": {"metric": HOT["metric"], "value": HOT["value"]}},
            "host": {"name": HOT["source_id"]},
        }
    ).encode(),
}


@pytest.mark.parametrize("mend", ["reparse", "replay"])
def test_a_contract_that_was_mended_takes_what_the_collector_had_refused_in_any_form(
    settings: Settings, spark: Callable[[], Any], door: Collector, mend: str
) -> None:
    for name, value in FORMS.items():
        assert door.post(value, ce_id=name).status_code == 422
    assert landed(settings, spark).dead == len(FORMS)
    # With the contract that refused it, nothing comes out otherwise.
    assert [d.changed for d in reparse(settings, STREAM, spark, "test")] == [0]
    if mend == "reparse":
        (day,) = reparse(settings, LOOSE, spark, "test")
        assert (day.mended, day.refused) == (len(FORMS), 0)
    else:
        assert len(again.replay(settings, LOOSE, "me").sent) == len(FORMS)
        assert landed(settings, spark, LOOSE).dead == 0
    refine_all(settings, spark, LOOSE)
    expected = [{"event_id": name, "value": HOT["value"]} for name in sorted(FORMS)]
    assert silver_rows(settings) == expected
    assert letters(settings) == []
    # A letter keeps the bytes that came.
    kept = {x.event_id: x.value for x in letters(settings, only_open=False)}
    assert kept == (FORMS if mend == "replay" else {})


def test_a_batch_that_is_sent_again_under_its_key_adds_nothing(
    settings: Settings, spark: Callable[[], Any], door: Collector
) -> None:
    at = datetime.now(UTC) - timedelta(minutes=1)
    batch = b"\n".join(json.dumps(measure("a", v, at)).encode() for v in (1.0, 2.0, 2.0))
    other = json.dumps(measure("a", 3.0, at)).encode()
    for body in (batch, batch, other):
        answer = door.post(body, content_type=NDJSON, idempotency_key="load 7")
        assert answer.status_code == 202
    landed(settings, spark)
    refine_all(settings, spark, STREAM)
    # The key was used for another batch by mistake: what was accepted is there all the same.
    assert sorted(row["value"] for row in silver_rows(settings)) == [1.0, 2.0, 2.0, 3.0]
    found = counts.count(settings, STREAM)
    assert (found.bronze, found.duplicates, found.silver) == (7, 3, 4)


def test_letters_of_before_get_their_source_from_the_headers_that_they_have(
    settings: Settings, spark: Callable[[], Any], door: Collector
) -> None:
    door.post(b"{", ce_id="door")
    produce(settings, [b"}"], ["elsewhere"])
    landed(settings, spark)
    before = {x.event_id: x.source for x in letters(settings)}
    assert before == {"door": "http", "elsewhere": "kafka"}
    table = letter_shelf.dead_table(settings, STREAM)
    with Postgres(settings, "serving").transaction("make old in a test") as connection:
        connection.execute(f"alter table {table.schema}.{table.name} drop column source".encode())
    assert {x.event_id: x.source for x in letters(settings)} == before


def test_a_refused_message_does_not_hide_one_that_is_missing(
    settings: Settings,
    spark: Callable[[], Any],
    door: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from de_stack.flow import reconciliation

    door.post(b"{\n{\n" + json.dumps(measure("a", 1.0, HOUR)).encode(), content_type=NDJSON)
    landed(settings, spark)
    meters = door.meters
    topic = settings.names.topic(*STREAM.topic)
    lost = 0
    monkeypatch.setattr(
        reconciliation.counter, "accepted_total", lambda *_: meters.accepted_events[topic] + lost
    )
    monkeypatch.setattr(reconciliation.counter, "kept_total", lambda *_: meters.kept_events[topic])
    assert accepted(settings, STREAM).missing == 0
    lost = 1
    assert accepted(settings, STREAM).missing == 1


def test_the_version_of_the_loose_contract_is_another_one() -> None:
    assert LOOSE.version != STREAM.version
    assert replace(LOOSE, version=STREAM.version, fields=STREAM.fields) == STREAM

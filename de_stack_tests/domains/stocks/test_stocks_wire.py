"""Trades as lines of CSV, from Kafka to silver, beside JSON ones and one that is none.

The nine lines are the seed rows of the first stocks producer, byte for byte: their times are
milliseconds of UTC, the times beside them those of a wall ten hours ahead.

Belongs here: what the wire format means on the real services. Does not belong here: which lines
are good (`test_contracts_csv_line.py`), averages.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from de_stack.contracts import load_stream
from de_stack.flow import letter_shelf
from de_stack.flow import replay as again
from de_stack.flow.dead_letters import enter_letters
from de_stack.flow.refine import silver
from de_stack.flow.reparse import reparse
from de_stack.resources.kafka import client_options
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    enter_namespace,
    materialize,
    session,
    this_hour,
    until_committed,
)

STREAM = load_stream("stocks.ticks")
LINES = [
    b"AMC,SELL,158.84,216,1534849271061,2018-08-21 21:01:11.061",
    b"AGL,BUY ,496.53,233,1534849272066,2018-08-21 21:01:12.066",
    b"AGL,SELL,26.57,181,1534849273070,2018-08-21 21:01:13.07",
    b"AMC,BUY ,755.46,231,1534849274072,2018-08-21 21:01:14.072",
    b"AGL,SELL,948.21,540,1534849275077,2018-08-21 21:01:15.077",
    b"ANZ,BUY ,899.60,647,1534849276082,2018-08-21 21:01:16.082",
    b"ANZ,SELL,494.85,714,1534849277086,2018-08-21 21:01:17.086",
    b"ANZ,BUY ,26.44,333,1534849278087,2018-08-21 21:01:18.087",
    b"AGL,SELL,910.43,943,1534849279088,2018-08-21 21:01:19.088",
]
TRADES = [
    ("AMC", "SELL", 158.84, 216, "11.061"),
    ("AGL", "BUY", 496.53, 233, "12.066"),
    ("AGL", "SELL", 26.57, 181, "13.070"),
    ("AMC", "BUY", 755.46, 231, "14.072"),
    ("AGL", "SELL", 948.21, 540, "15.077"),
    ("ANZ", "BUY", 899.60, 647, "16.082"),
    ("ANZ", "SELL", 494.85, 714, "17.086"),
    ("ANZ", "BUY", 26.44, 333, "18.087"),
    ("AGL", "SELL", 910.43, 943, "19.088"),
]
FIVE = b"ANZ,BUY ,26.44,333,1534849278087"
MESSAGE = {
    "stock_name": "RIO",
    "trade_type": "SELL",
    "price": 73.8,
    "quantity": 5,
    "event_time": "2018-08-21T11:01:20.5Z",
}
HOUR = datetime(2018, 8, 21, 11, tzinfo=UTC)


@pytest.fixture
def settings(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A namespace in which lines, a message, and a line of five cells have landed."""
    found = enter_namespace(monkeypatch)
    send(found, [*LINES, FIVE, json.dumps(MESSAGE).encode()])
    materialize(["bronze_ticks"], this_hour(), domain="stocks")
    return found


def send(settings: Settings, messages: list[bytes]) -> None:
    """As anybody's producer does: key and value, no header."""
    from kafka import KafkaProducer

    producer = KafkaProducer(**client_options(settings))
    topic = settings.names.topic(*STREAM.topic)
    for message in messages:
        producer.send(topic, message, key=message.partition(b",")[0])
    producer.flush(timeout=30)
    producer.close()


def at(second: str) -> datetime:
    """A time of the minute in which all of it happened."""
    return datetime.fromisoformat(f"2018-08-21T11:01:{second}+00:00")


def refined(settings: Settings) -> list[tuple[Any, ...]]:
    """The trades in silver, by time, after their hour was computed."""
    materialize(["silver_ticks"], HOUR, domain="stocks")
    sql = "select stock_name, trade_type, price, quantity, event_time from t order by event_time"
    rows = Lake(settings).query(silver(settings, STREAM).uri, sql).to_pylist()
    return [tuple(row.values()) for row in rows]


def test_lines_and_messages_are_one_stream_and_five_cells_are_a_letter(settings: Settings) -> None:
    trades = [(*trade, at(second)) for *trade, second in TRADES]
    assert refined(settings) == [*trades, ("RIO", "SELL", 73.8, 5, at("20.500"))]
    enter_letters(settings, STREAM, "test")
    (letter,) = letter_shelf.letters(settings, STREAM)
    assert (letter.code, letter.field, letter.value) == ("columns", None, FIVE)
    assert letter.reason == "5 cells, the contract has 6"


def test_a_letter_is_mended_by_hand_or_by_another_contract(settings: Settings) -> None:
    spark: Callable[[], Any] = session(settings)
    shorter = replace(STREAM, csv_line=STREAM.csv_line[:5], version="1.1.0")
    (day,) = reparse(settings, shorter, spark, "test", dry_run=True)
    assert (day.rows, day.mended, day.refused) == (11, 1, 9)
    enter_letters(settings, STREAM, "test")
    (letter,) = letter_shelf.letters(settings, STREAM)
    mended = FIVE.replace(b"278087", b"281087") + b","
    sent = again.replay(settings, STREAM, "test", mended={letter.position: mended})
    assert sent.sent == [letter.position]
    until_committed(settings, STREAM.name)
    materialize(["bronze_ticks"], this_hour(), domain="stocks")
    assert refined(settings)[-1] == ("ANZ", "BUY", 26.44, 333, at("21.087"))
    assert len(refined(settings)) == len(LINES) + 2
    enter_letters(settings, STREAM, "test")
    assert letter_shelf.letters(settings, STREAM, only_open=True) == []

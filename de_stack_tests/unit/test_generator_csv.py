"""Lines of CSV from the generator: good ones are the trades of its JSON, broken ones no trades."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from de_stack.contracts import load_stream
from de_stack.contracts.decode import decoder_for
from de_stack.failures import PermanentFailure
from de_stack.settings import Settings
from de_stack.sources.generator import __main__ as service
from de_stack.sources.generator.csv_form import Lines
from de_stack.sources.generator.destination import destination
from de_stack.sources.generator.events import Event
from de_stack.sources.generator.files import ConfigError
from de_stack.sources.generator.job import Job, Wish, prepare
from de_stack.sources.generator.sinks import Sent

TICKS = load_stream("stocks.ticks")
DECODE = decoder_for(TICKS)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Kept:
    """A sink that keeps what it is given, and wants the first events once more."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.again = 2

    def send(self, events: Sequence[Event]) -> Sent:
        again, self.again = self.again, 0
        self.events += events[again:]
        return Sent(again=events[:again])

    def close(self) -> None:
        self.events.append(Event("closed", "", b""))


def job(tmp_path: Path, **wish: Any) -> Job:
    given = {"collector_url": "http://127.0.0.1:1", "kafka_bootstrap": "127.0.0.1:1"}
    settings = Settings(profile="external", home=tmp_path, **given)  # type: ignore[arg-type]
    made = Wish(**({"stream": "stocks.ticks", "sink": "console"} | wish))
    return prepare(settings, made, NOW, destination)


def test_lines_stand_for_the_very_trades_that_json_would_have_been(tmp_path: Path) -> None:
    times = [NOW + timedelta(milliseconds=37 * n) for n in range(200)]
    plain = job(tmp_path, seed="1").events.batch(times)
    sink = Kept()
    lines = Lines(TICKS, lambda: sink)
    again = lines.send(plain).again
    assert not lines.send(again).again
    lines.close()
    *made, last = sink.events
    assert last.id == "closed"
    assert {e.media for e in made} == {"text/csv"}
    found = {e.id: DECODE(e.data, NOW + timedelta(hours=1)).record for e in made}
    asked = {e.id: DECODE(e.data, NOW + timedelta(hours=1)).record for e in plain}
    assert found == asked
    cells = list(csv.reader(e.data.decode() for e in made))
    assert {row[1] for row in cells} == {"BUY ", "SELL"}
    # The time for people is no UTC: whoever reads it is ten hours off.
    row = next(r for r, e in zip(cells, made, strict=True) if e.id == plain[1].id)
    assert row[4:] == ["1772366400037", "2026-03-01 22:00:00.037"]


def test_what_is_broken_on_purpose_is_refused_as_a_line_too(tmp_path: Path) -> None:
    made = job(tmp_path, seed="1", faults={"malformed": "1"})
    assert made.faulty is not None
    broken = made.faulty.batch([NOW] * 400)
    sink = Kept()
    sink.again = 0
    Lines(TICKS, lambda: sink).send(broken)
    codes = Counter(DECODE(e.data, NOW).code for e in sink.events)
    assert None not in codes
    # A message without a value is a line of five cells.
    assert codes.keys() >= {"columns", "wrong_type", "malformed"}
    assert sum(made.counts.forms.values()) == 400


def test_late_trades_are_as_late_as_was_asked_for_from_a_file_and_a_command_line(
    tmp_path: Path,
) -> None:
    path = tmp_path / "g.yaml"
    text = "stream: stocks.ticks\nformat: csv\nfaults: {late: {share: 0.05, seconds: 7}}\n"
    path.write_text(text)
    from_file = job(tmp_path, config=path, stream=None, seed="1")
    typed = job(tmp_path, faults={"late": "0.05:7"}, seed="1", form="csv")
    assert from_file.told["format"] == typed.told["format"] == "csv"
    for made in (from_file, typed):
        assert made.faulty is not None
        behind = [
            (NOW - datetime.fromisoformat(e.time)).total_seconds()
            for e in made.faulty.batch([NOW] * 2000)
        ]
        assert set(behind) == {0.0, 7.0}
        assert 60 < behind.count(7.0) < 140


def test_the_service_takes_the_same_words(tmp_path: Path) -> None:
    args = service._parser().parse_args(
        ["run", "stocks.ticks", "--format", "csv", "--late", "0.05:7", "--sink", "console"]
    )
    (wish,) = service._wishes(Settings(profile="external", home=tmp_path), args)
    assert (wish.form, wish.faults["late"]) == ("csv", "0.05:7")


@pytest.mark.parametrize(
    ("wish", "got"),
    [
        ({"stream": "telemetry.measures", "form": "csv"}, "telemetry.measures has no csvLine"),
        (
            {"stream": None, "config": Path("docs/examples/generator/greenhouse.yaml")},
            "they are of no stream",
        ),
    ],
)
def test_lines_of_what_has_none_are_refused(tmp_path: Path, wish: dict[str, Any], got: str) -> None:
    with pytest.raises(PermanentFailure, match=got):
        job(tmp_path, **({"form": "csv"} | wish))


def test_each_stock_begins_at_its_own_price(tmp_path: Path) -> None:
    first: dict[str, float] = {}
    for event in job(tmp_path, seed="1").events.batch([NOW] * 500):
        record = DECODE(event.data, NOW).record
        assert record is not None
        first.setdefault(record["stock_name"], record["price"])
    assert len(first) == 21
    assert (first["CSL"], first["TLS"]) == (222.0, 3.1)


@pytest.mark.parametrize(
    ("walk", "reason"),
    [
        ("{start: {A: 1, B: 2}, step: 1, per: [trade_type]}", "start: none for BUY, SELL"),
        ("{start: {A: 1}, step: 1, per: [event_time]}", "start: follows no `choice`"),
        ("{start: {A: 1}, step: 1, per: [stock_name, trade_type]}", "the one field"),
        ("{start: {A: 1}, step: 1}", "the one field"),
        ("{start: {BUY: 1, SELL: 9}, step: 1, maximum: 5, per: [trade_type]}", "start 9.0 is not"),
    ],
)
def test_starts_by_value_that_do_not_fit_are_refused(
    tmp_path: Path, walk: str, reason: str
) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(f"stream: stocks.ticks\nfields: {{price: {{walk: {walk}}}}}")
    with pytest.raises(ConfigError, match=reason):
        job(tmp_path, config=path)

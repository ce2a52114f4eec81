"""Events: the same again from the same seed, ids that never repeat, values that stay in bounds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_stack.contracts import load_all
from de_stack.contracts.decode import decoder_for
from de_stack.contracts.model import Field
from de_stack.sources.generator.config import load_config
from de_stack.sources.generator.events import Event, Events
from de_stack.sources.generator.function import Use, rfc3339
from de_stack.sources.generator.functions import WALKS_KEPT, Walk

STREAM = load_all()["telemetry.measures"]
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def make(
    seed: str, start: datetime = START, count: int = 200, path: Path | None = None
) -> list[Event]:
    """The first events of a run."""
    events = Events(load_config(STREAM, path).shape, seed, start)
    return [events.next(start + timedelta(milliseconds=20 * n)) for n in range(count)]


def test_same_seed_and_clock_give_the_same_bytes_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(
        "fields: {metric: {faker: city}, source_id: {faker: {provider: name, locale: de_DE}}}"
    )
    assert make("7", path=path) == make("7", path=path)
    assert [e.data for e in make("7", path=path)] != [e.data for e in make("8", path=path)]


def test_the_first_events_of_a_known_seed_do_not_change_between_versions() -> None:
    first = make("7", count=2)
    assert [(e.id, e.data.decode()) for e in first] == [
        (
            "7b397f4c-e170-5186-bfc4-7cff8d5a7ed0",
            '{"source_id":"mixer-01","metric":"vibration","value":60.0,"measured_at":"2026-03-01T12:00:00.000Z"}',
        ),
        (
            "6be90300-ea0f-5aaa-82ff-9c6a7de4e37e",
            '{"source_id":"press-02","metric":"vibration","value":60.0,"measured_at":"2026-03-01T12:00:00.020Z"}',
        ),
    ]


def test_a_restart_with_the_same_seed_never_repeats_an_id() -> None:
    again = make("7", start=START + timedelta(microseconds=1))
    ids = {e.id for e in make("7")} | {e.id for e in again} | {e.id for e in make("8")}
    assert len(ids) == 600


def test_every_event_holds_the_contract() -> None:
    decode = decoder_for(STREAM)
    for event in make("1", count=500):
        assert decode(event.data, START + timedelta(minutes=1)).error is None


def test_adding_a_field_does_not_change_the_values_of_the_others() -> None:
    more = replace(STREAM, fields=(Field("extra", ("deep", "er"), "integer"), *STREAM.fields))
    events = Events(load_config(more, None).shape, "7", START)
    with_extra = [json.loads(events.next(START).data) for _ in range(50)]
    assert all(isinstance(r.pop("deep")["er"], int) for r in with_extra)
    plain = Events(load_config(STREAM, None).shape, "7", START)
    assert with_extra == [json.loads(plain.next(START).data) for _ in range(50)]


@given(
    st.floats(-100, 100), st.floats(0, 1000), st.integers(0, 6), st.lists(st.sampled_from("abc"))
)
def test_a_walk_stays_in_its_bounds_and_takes_no_longer_step(
    start: float, step: float, digits: int, who: list[str]
) -> None:
    walk = Walk(start=start, step=step, minimum=-100, maximum=100, digits=digits)
    make_one = walk.maker(Use("number", "s", ("name",)))
    last: dict[str, float] = {}
    for name in who:
        value = make_one({"name": name}, START)
        assert -100 <= value <= 100
        assert abs(value - last.get(name, start)) <= step + 2 * 10**-digits
        last[name] = value


def test_walks_of_many_keys_do_not_fill_the_memory() -> None:
    make_one = Walk(start=0, step=1).maker(Use("number", "s", ("name",)))
    for n in range(WALKS_KEPT + 100):
        make_one({"name": n}, START)
    assert make_one({"name": 0}, START) == 0, "the oldest was forgotten and begins anew"
    assert make_one({"name": WALKS_KEPT + 99}, START) != 0


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 1, 1, 2, 3, 4567, tzinfo=UTC), "2026-03-01T01:02:03.004Z"),
        (datetime(2026, 3, 1, 1, 2, 3), "2026-03-01T01:02:03.000Z"),  # noqa: DTZ001
        (START.date(), "2026-03-01T00:00:00.000Z"),
    ],
)
def test_times_are_written_in_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert rfc3339(moment) == text

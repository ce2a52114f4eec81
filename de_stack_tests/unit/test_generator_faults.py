"""Faults on purpose: the shares asked for, each what it says, the rest of the run untouched."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from de_stack.contracts import load_all
from de_stack.contracts.decode import decoder_for
from de_stack.contracts.model import Grain
from de_stack.sources.generator.config import load_config
from de_stack.sources.generator.counts import FORMS, Counts
from de_stack.sources.generator.events import Event, Events
from de_stack.sources.generator.fault_plan import off_of, targets_of
from de_stack.sources.generator.fault_words import faults_of, given
from de_stack.sources.generator.faults import DUPLICATE_WITHIN, HELD_FOR, Faults, Faulty, Off
from de_stack.sources.generator.files import ConfigError
from de_stack.sources.generator.malformed import Breaker

STREAM = load_all()["telemetry.measures"]
SHAPE = load_config(STREAM, None).shape
START = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
N = 5000


class Run:
    """What a run with faults sends, with the clock of each event."""

    def __init__(
        self, faults: Faults, seed: str = "7", step_ms: float = 20.0, count: int = N, batch: int = 7
    ) -> None:
        off = off_of(faults, SHAPE, STREAM, START, "here")
        self.counts = Counts("s", 1.0)
        breaks = Breaker(targets_of(SHAPE, STREAM), seed)
        self.faulty = Faulty(Events(SHAPE, seed, START), faults, off, breaks, seed, self.counts)
        times = [START + timedelta(milliseconds=step_ms * n) for n in range(count)]
        self.sent: list[Event] = []
        # The clock at which each was sent: that of the last event of its batch.
        self.at: list[datetime] = []
        for n in range(0, count, batch):
            part = self.faulty.batch(times[n : n + batch])
            self.sent += part
            self.at += [times[n : n + batch][-1]] * len(part)
        tail = self.faulty.drain()
        self.sent += tail
        self.at += [times[-1]] * len(tail)

    def of(self, kind: str) -> list[tuple[Event, datetime]]:
        """The events with a fault."""
        return [(e, at) for e, at in zip(self.sent, self.at, strict=True) if e.fault == kind]


def plain(seed: str = "7", step_ms: float = 20.0) -> dict[str, Event]:
    """The same run without faults, by id."""
    events = Events(SHAPE, seed, START)
    made = [events.next(START + timedelta(milliseconds=step_ms * n)) for n in range(N)]
    return {e.id: e for e in made}


ALL = Faults(late=0.05, duplicate=0.05, malformed=0.05, out_of_order=0.05, future=0.05)


def test_the_same_seed_makes_the_same_faults_and_another_seed_others() -> None:
    assert Run(ALL).sent == Run(ALL).sent
    assert [e.fault for e in Run(ALL).sent] != [e.fault for e in Run(ALL, seed="8").sent]


def test_how_a_run_is_cut_into_batches_changes_neither_events_nor_order() -> None:
    assert Run(ALL, batch=1).sent == Run(ALL, batch=2000).sent


def test_the_events_that_have_no_fault_are_those_of_a_run_without_faults() -> None:
    bare = plain()
    sound = [e for e in Run(ALL).sent if not e.fault]
    assert len(sound) > N / 2
    assert all(bare[e.id] == e for e in sound)


@pytest.mark.parametrize("kind", ["late", "duplicate", "malformed", "out_of_order", "future"])
@pytest.mark.parametrize("share", [0.01, 0.2, 1.0])
def test_each_share_is_kept_and_counted(kind: str, share: float) -> None:
    run = Run(Faults(**{kind: share}))
    found = len(run.of(kind))
    assert found == run.counts.faults[kind]
    # At the very end nothing follows that could overtake what is held back.
    end = HELD_FOR if kind == "out_of_order" else 0
    if not (kind == "out_of_order" and share == 1):
        assert found == pytest.approx(N * share, abs=4 * (N * share * (1 - share)) ** 0.5 + end)
    assert len(run.sent) == N + run.counts.faults["duplicate"]
    assert sum(run.counts.faults.values()) == found, "no other fault"


def test_nothing_is_lost_every_event_is_sent_once_beside_its_duplicates() -> None:
    run = Run(ALL)
    ids = Counter(e.id for e in run.sent if e.fault != "duplicate")
    assert set(ids.values()) == {1}
    assert len(ids) == N


def test_a_late_event_comes_after_its_event_hours_end_and_the_allowed_lateness() -> None:
    decode = decoder_for(STREAM)
    late = Run(Faults(late=0.2)).of("late")
    for event, at in late:
        moment = datetime.fromisoformat(json.loads(event.data)["measured_at"])
        hour = moment.replace(minute=0, second=0, microsecond=0)
        assert at > hour + timedelta(hours=1) + STREAM.allowed_lateness
        assert at - moment < STREAM.look_back, "it must not be held, nobody asked for that"
        assert event.time == json.loads(event.data)["measured_at"]
        assert decode(event.data, at).error is None


def test_a_late_event_is_as_late_as_asked() -> None:
    for event, at in Run(Faults(late=0.2, late_seconds=90), batch=1).of("late"):
        assert at - datetime.fromisoformat(event.time) == timedelta(seconds=90)


def test_a_future_event_is_refused_by_the_contract_and_still_is_minutes_later() -> None:
    decode = decoder_for(STREAM)
    future = Run(Faults(future=0.2)).of("future")
    for event, at in future:
        assert decode(event.data, at + timedelta(minutes=30)).code == "in_future"


def test_a_malformed_event_is_refused_by_the_contract_for_the_reason_that_its_form_says() -> None:
    decode, run = decoder_for(STREAM), Run(Faults(malformed=0.5))
    codes: dict[str, set[str | None]] = {}
    seen: Counter[str] = Counter()
    breaks = Breaker(targets_of(SHAPE, STREAM), "7")
    for event in plain().values():
        broken, form = breaks(event)
        seen[form] += 1
        codes.setdefault(form, set()).add(decode(broken.data, START + timedelta(days=1)).code)
        assert (broken.id, broken.key, broken.time) == (event.id, event.key, event.time)
        assert b"\n" not in broken.data
    assert codes == {
        "broken_json": {"malformed"},
        "invalid_utf8": {"malformed"},
        "wrong_type": {"wrong_type"},
        "missing_field": {"missing"},
    }
    assert all(seen[form] > N / 5 for form in FORMS)
    assert run.counts.forms.total() == run.counts.faults["malformed"]
    for event, at in run.of("malformed"):
        assert decode(event.data, at).error is not None
        try:
            is_json = isinstance(json.loads(event.data), dict)
        except ValueError:
            is_json = False
        assert event.is_json == is_json


def test_a_duplicate_has_the_id_and_the_bytes_of_one_that_was_sent_before() -> None:
    run = Run(ALL)
    before: dict[str, tuple[int, Event]] = {}
    for place, event in enumerate(run.sent):
        if event.fault != "duplicate":
            before[event.id] = place, event
            continue
        first, of = before[event.id]
        assert (event.data, event.key, event.time) == (of.data, of.key, of.time)
        assert of.fault not in ("malformed", "future"), "nobody takes it once"
        assert 0 < place - first <= 3 * DUPLICATE_WITHIN


@pytest.mark.parametrize("step_ms", [20.0, 0.05])
def test_an_out_of_order_event_comes_after_a_later_one_of_its_key(step_ms: float) -> None:
    run = Run(Faults(out_of_order=0.1), step_ms=step_ms)
    latest: dict[bytes | None, str] = {}
    by_key = 0
    for event in run.sent:
        if event.fault == "out_of_order":
            assert event.time < max(latest.values()), "otherwise nobody would see it"
            by_key += event.time < latest.get(event.key, "")
        else:
            assert event.time >= latest.get(event.key, "")
            latest[event.key] = event.time
    found = run.counts.faults["out_of_order"]
    assert found > 300
    assert by_key > 0.95 * found or step_ms < 1


def test_without_events_after_it_an_event_is_in_order_and_not_counted() -> None:
    run = Run(Faults(out_of_order=1.0))
    assert [e.time for e in run.sent] == sorted(e.time for e in run.sent)
    assert run.counts.faults["out_of_order"] == 0


def test_with_grain_day_late_means_after_the_day() -> None:
    daily = replace(STREAM, grain="day")
    off = off_of(Faults(late=0.1), SHAPE, daily, START, "here")
    assert off == Off(86400 + 600, 300 + 3600)
    for grain in get_args(Grain):
        off_of(Faults(late=0.1), SHAPE, replace(STREAM, grain=grain), START, "here")


def test_a_fault_that_nobody_would_see_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text("fields: {value: {constant: 1}}")
    shape = load_config(None, path).shape
    for kind in ("late", "future"):
        with pytest.raises(ConfigError, match=f"faults.{kind}: any value is not made by `now`"):
            off_of(Faults(**{kind: 0.1}), shape, None, START, "here")
    early = STREAM.history_start + timedelta(minutes=30)
    with pytest.raises(ConfigError, match="before historyStart"):
        off_of(Faults(late=0.1), SHAPE, STREAM, early, "here")


def test_shares_of_a_file_and_of_a_command_line_in_all_their_spellings() -> None:
    file = faults_of({"late": {"share": 0.1, "seconds": "PT2H"}, "out-of-order": 0.2}, "f")
    assert file == Faults(late=0.1, late_seconds=7200, out_of_order=0.2)
    assert faults_of(None, "f") == Faults()
    assert not Faults()
    over = given(file, {"late": "0.3", "future": "0.1:90", "duplicate": None})
    assert over == Faults(late=0.3, out_of_order=0.2, future=0.1, future_seconds=90)


@pytest.mark.parametrize(
    ("raw", "field", "reason"),
    [
        ([], "faults", "not a mapping"),
        ({"lost": 0.1}, "faults.lost", "unknown; there are late, duplicate, malformed"),
        ({"out-of-order": 0, "out_of_order": 0}, "faults.out_of_order", "stands twice"),
        ({"late": 1.1}, "faults.late", "1.1 is no share"),
        ({"late": -0.1}, "faults.late", "-0.1 is no share"),
        ({"late": float("nan")}, "faults.late", "nan is no share"),
        ({"late": "10%"}, "faults.late", "'10%' is no share"),
        ({"late": True}, "faults.late", "True is no share"),
        ({"late": {"seconds": 5}}, "faults.late", "None is no share"),
        ({"late": {"share": 0.1, "seconds": 0}}, "faults.late", "0 is no number of seconds"),
        ({"late": {"share": 0.1, "by": 5}}, "faults.late", "unknown: by; there are share, seconds"),
        ({"malformed": {"share": 1, "seconds": 5}}, "faults.malformed", "unknown: seconds"),
        ({"late": 0.6, "future": 0.5}, "faults", "add up to 1.1"),
    ],
)
def test_a_share_that_is_none_is_refused(raw: object, field: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        faults_of(raw, "f.yaml")
    assert f"f.yaml: {field}: " in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", ["much", "2", "0.1:soon", "0.1:", "nan"])
def test_a_share_of_the_command_line_that_is_none_names_its_option(text: str) -> None:
    with pytest.raises(ConfigError, match="--out-of-order|--late"):
        given(Faults(), {"late": text})

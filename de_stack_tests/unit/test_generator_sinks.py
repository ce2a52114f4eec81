"""Destinations: whole lines, malformed events alone at the door, what of a batch arrived."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.sources.generator.events import Event
from de_stack.sources.generator.file_sink import File
from de_stack.sources.generator.http_sink import Collector
from de_stack.sources.generator.kafka_sink import Topic
from de_stack.sources.generator.sinks import Console, Sent

EVENTS = [Event(f"id-{n}", "2026-03-01T12:00:00.000Z", b'{"v":%d}' % n, b"k") for n in range(5)]
BROKEN = Event("bad", "2026-03-01T12:00:00.000Z", b'{"v":\xff', b"k", "malformed", is_json=False)


def test_a_file_is_appended_to_a_line_for_each_event(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.ndjson"
    for _ in range(2):
        sink = File(path)
        assert sink.send([*EVENTS, BROKEN]) == Sent()
        sink.close()
    lines = path.read_bytes().splitlines()
    assert lines == [*(e.data for e in EVENTS), BROKEN.data] * 2


def test_a_line_that_a_kill_has_cut_is_ended_before_more_is_written(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"v":1}\n{"v"')
    sink = File(path)
    assert sink.had_cut_line
    sink.send(EVENTS[:1])
    sink.close()
    assert path.read_bytes() == b'{"v":1}\n{"v"\n{"v":0}\n'


class FullAfter:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: bytes) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        took = self.file.write(data[: self.room])
        self.room -= took
        return took

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_a_full_disk_leaves_whole_lines_and_says_which_events_are_not_among_them(
    tmp_path: Path,
) -> None:
    sink = File(tmp_path / "events.ndjson")
    sink._file = FullAfter(sink._file, 2 * 8 + 3)  # type: ignore[assignment]
    assert sink.send(EVENTS) == Sent(again=EVENTS[2:])
    with pytest.raises(PermanentFailure, match="No space left.*make room on the disk"):
        sink.send(EVENTS[2:])
    assert (tmp_path / "events.ndjson").read_bytes() == b'{"v":0}\n{"v":1}\n'


@pytest.mark.parametrize("name", ["", "events.ndjson/below"])
def test_a_file_that_cannot_be_written_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "events.ndjson").touch()
    with pytest.raises(PermanentFailure, match="write events to") as caught:
        File(tmp_path / name)
    assert "fix: " in str(caught.value)


def test_the_console_prints_bytes_that_are_no_text_as_they_are() -> None:
    out = io.BytesIO()
    assert Console(out).send([EVENTS[0], BROKEN]) == Sent()
    assert out.getvalue() == b'{"v":0}\n{"v":\xff\n'


class Door:
    """A collector: refuses what is no JSON and values below 0, and may be away after a while."""

    def __init__(self, away_after: int = 99) -> None:
        self.requests: list[httpx.Request] = []
        self.away_after = away_after

    def sink(self) -> Collector:
        client = httpx.Client(transport=httpx.MockTransport(self.handle))
        return Collector(client, "http://c/", "telemetry.measures")

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if len(self.requests) > self.away_after:
            return httpx.Response(503, json={"status": 503})
        try:
            body = json.loads(request.content)
        except ValueError:
            return httpx.Response(400, json={"status": 400, "code": "malformed"})
        status = [422 if item["data"]["v"] < 0 else 202 for item in body]
        items = [{"id": i["id"], "status": s} for i, s in zip(body, status, strict=True)]
        return httpx.Response(207 if 422 in status else 202, json={"items": items})


def test_what_is_no_json_goes_alone_and_spoils_no_batch() -> None:
    door = Door()
    assert door.sink().send([*EVENTS[:2], BROKEN, *EVENTS[2:]])[:2] == ([], 1)
    assert [len(r.content) for r in door.requests][1] == len(BROKEN.data)
    assert door.requests[1].headers["ce-id"] == "bad"
    assert door.requests[1].content == BROKEN.data
    ids = [i["id"] for r in (door.requests[0], door.requests[2]) for i in json.loads(r.content)]
    assert ids == [e.id for e in EVENTS]


def test_when_the_door_shuts_in_between_only_what_it_has_not_taken_comes_again() -> None:
    door = Door(away_after=2)
    sent = door.sink().send([*EVENTS[:2], BROKEN, *EVENTS[2:]])
    assert (sent.again, sent.refused) == (EVENTS[2:], 1)
    with pytest.raises(TransientFailure):
        Door(away_after=0).sink().send(EVENTS)


def test_a_batch_is_no_larger_than_the_door_takes() -> None:
    door = Door()
    large = [Event(str(n), "t", b'{"v":1,"pad":"%s"}' % (b"x" * 900_000)) for n in range(9)]
    assert door.sink().send(large) == Sent([])
    assert max(len(r.content) for r in door.requests) < 8 << 20
    assert sum(len(json.loads(r.content)) for r in door.requests) == 9


class FakeProducer:
    """Acknowledges the first `takes` messages; then the broker is away."""

    def __init__(self, takes: int) -> None:
        self.takes, self.sent, self.is_closed = takes, [], False

    def send(self, topic, key, value, headers, acknowledged) -> None:  # noqa: ANN001
        self.sent.append((topic, key, value, dict(headers)))
        if len(self.sent) <= self.takes:
            acknowledged(0, len(self.sent))

    def flush(self) -> None:
        if len(self.sent) > self.takes:
            raise TransientFailure("send", "timed out")

    def close(self) -> None:
        self.is_closed = True


def test_only_what_the_broker_did_not_acknowledge_is_sent_again_by_a_new_producer() -> None:
    producers = [FakeProducer(0), FakeProducer(2), FakeProducer(9)]
    waiting = iter(producers)
    sink = Topic(lambda: next(waiting), "t", "telemetry.measures")  # type: ignore[arg-type]
    with pytest.raises(TransientFailure):
        sink.send(EVENTS)
    again = sink.send(EVENTS).again
    assert again == EVENTS[2:]
    assert sink.send(again) == Sent()
    assert sink.send(EVENTS[:1]) == Sent()
    assert [p.is_closed for p in producers] == [True, True, False]
    sink.close()
    assert producers[2].is_closed
    topic, key, value, headers = producers[2].sent[0]
    assert (topic, key, value) == ("t", b"k", b'{"v":2}')
    assert (headers["ce_id"], headers["ce_source"]) == (b"id-2", b"de_stack/generator")
    assert headers["ce_time"] == b"2026-03-01T12:00:00.000Z"

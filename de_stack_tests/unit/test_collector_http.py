"""The collector as a client sees it, with a fake Kafka behind it."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import jsonschema
import pytest

from de_stack.contracts import load_all
from de_stack.contracts.decode import decoder_for
from de_stack.contracts.envelope import REJECTED
from de_stack.contracts.normalise import normaliser_for
from de_stack.contracts.schemas import json_schema
from de_stack.contracts.topics import MAX_MESSAGE_BYTES
from de_stack.failures import TransientFailure
from de_stack.sources.collector.app import make_app
from de_stack.sources.collector.check import Check
from de_stack.sources.collector.door import Door
from de_stack.sources.collector.kafka_producer import TooLarge
from de_stack.sources.collector.receive import Entrance, Limits, Receiver
from de_stack.sources.collector.under_way import Budget
from de_stack_tests.fakes import FakeMeters, FakeProducer

STREAM = "telemetry.measures"
URL = f"/v1/streams/{STREAM}"
TICKS = "stocks.ticks"
CSV = {"content-type": "text/csv"}
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
JSON = {"content-type": "application/json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
AWAY = TransientFailure("reach Kafka", "nobody answered")


def measure(**changes: object) -> dict:
    """A measure that holds the contract, but for the changes."""
    good = {
        "source_id": "oven",
        "metric": "heat",
        "value": 1,
        "measured_at": "2026-03-01T11:00:00Z",
    }
    return {k: v for k, v in (good | changes).items() if v is not ...}


def event(event_id: str, **changes: object) -> dict:
    """A CloudEvent around a measure."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "s",
        "type": "t",
        "data": measure(**changes),
    }


@pytest.fixture
def house() -> SimpleNamespace:
    """A collector on a fake Kafka, and `ask` to send it a request."""
    return a_house(9.0)


@pytest.fixture
def hasty() -> SimpleNamespace:
    """One that soon gives up, for those who make it wait."""
    return a_house(0.3)


def a_house(seconds: float) -> SimpleNamespace:
    producer, meters = FakeProducer(), FakeMeters()
    limits = Limits(
        body_bytes=2 << 20, items=50, requests=4, request_seconds=seconds, read_seconds=seconds
    )
    budget = Budget(4 << 20)
    door = Door(lambda: producer, budget)
    entrances = {
        name: Entrance(topic, Check(s, decoder_for(s), normaliser_for(s)), s)
        for name, topic in ((STREAM, "topic"), (TICKS, "ticks"))
        for s in [load_all()[name]]
    }
    ids = (f"made-{n}" for n in itertools.count(1))
    receiver = Receiver(entrances, door, meters, limits, lambda: NOW, lambda: next(ids))  # type: ignore[arg-type]
    app = make_app(receiver, budget)

    def ask(
        content: object, headers: dict = JSON, url: str = URL, method: str = "POST"
    ) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://c") as client:
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                return await client.request(method, url, content=body, headers=headers)

        return asyncio.run(call())

    return SimpleNamespace(
        ask=ask, app=app, producer=producer, meters=meters, budget=budget, door=door, limits=limits
    )


def test_one_object_reaches_kafka_as_the_very_bytes_that_were_sent(house: SimpleNamespace) -> None:
    body = (
        b' { "value":1.50, "extra": [1 ,2],"metric":"heat","source_id":"\\u00f6fen",'
        b'"measured_at":"2026-03-01T12:00:00+01:00" }\n'
    )
    answer = house.ask(body, JSON | {"ce-id": "e-1", "ce-source": "plant", "ce-type": "reading"})
    assert (answer.status_code, answer.json()) == (202, {"id": "e-1", "status": 202})
    ((topic, message),) = house.producer.sent
    assert (topic, message.value, message.key) == ("topic", body, "öfen".encode())
    assert message.headers == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e-1"),
        ("ce_source", b"plant"),
        ("ce_type", b"reading"),
        ("ce_time", b"2026-03-01T11:00:00+00:00"),
        ("content-type", b"application/json"),
    ]
    assert house.meters.accepted_events == {"topic": 1}


def test_an_event_without_an_id_gets_one_and_is_told(house: SimpleNamespace) -> None:
    assert house.ask(measure()).json()["id"] == "made-1"
    assert dict(house.producer.sent[0][1].headers)["ce_id"] == b"made-1"


def test_elements_of_an_array_keep_their_bytes_and_their_order(house: SimpleNamespace) -> None:
    raw = [json.dumps(measure(value=n), separators=(" ,", ":  ")).encode() for n in range(20)]
    answer = house.ask(b"[" + b" ,\n".join(raw) + b"]")
    assert answer.status_code == 202
    assert [m.value for _, m in house.producer.sent] == raw
    sent = [dict(m.headers)["ce_id"].decode() for _, m in house.producer.sent]
    assert sent == [i["id"] for i in answer.json()["items"]]


def test_lines_are_a_batch(house: SimpleNamespace) -> None:
    lines = b"\r\n".join(json.dumps(measure(value=n)).encode() for n in range(3)) + b"\n\n"
    answer = house.ask(lines, {"content-type": "application/x-ndjson"})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 3)


def test_lines_of_csv_are_taken_where_the_contract_has_a_form_for_them(
    house: SimpleNamespace,
) -> None:
    line = b"AGL,BUY ,496.53,233,1772362800066,2026-03-01 21:00:00.066"
    url = f"/v1/streams/{TICKS}"
    answer = house.ask(line + b"\r\n" + line + b"\n", CSV, url)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    one = house.ask(line + b"\n", CSV | {"ce-id": "t-1"}, url)
    assert (one.status_code, one.json()) == (202, {"id": "t-1", "status": 202})
    assert [(m.key, m.value) for _, m in house.producer.sent] == [
        *[(b"AGL", line)] * 2,
        (b"AGL", line + b"\n"),
    ]
    headers = dict(house.producer.sent[2][1].headers)
    assert (headers["ce_id"], headers["content-type"]) == (b"t-1", b"text/csv")
    assert headers["ce_time"] == b"2026-03-01T11:00:00.066000+00:00"
    # No other stream has heard of it.
    assert house.ask(line, CSV).status_code == 415


def test_a_refused_line_is_kept_with_its_key_as_far_as_it_can_be_read(
    house: SimpleNamespace,
) -> None:
    five, cheap = b"AGL,BUY ,496.53,233,1772362800066", b"AGL,BUY ,-1,233,1772362800066,"
    answer = house.ask(five + b"\n" + cheap, CSV, f"/v1/streams/{TICKS}")
    assert [(i["status"], i["code"]) for i in answer.json()["items"]] == [
        (422, "columns"),
        (422, "out_of_range"),
    ]
    assert [(m.key, m.value) for _, m in house.producer.sent] == [(None, five), (b"AGL", cheap)]
    assert all(REJECTED in dict(m.headers) for _, m in house.producer.sent)


def test_a_batch_of_cloud_events_keeps_their_ids(house: SimpleNamespace) -> None:
    answer = house.ask([event("a"), event("b")], BATCH)
    assert answer.status_code == 202
    assert [dict(m.headers)["ce_id"] for _, m in house.producer.sent] == [b"a", b"b"]
    assert house.ask([], BATCH).json() == {"status": 202, "accepted": 0, "items": []}


def test_one_structured_cloud_event_is_not_a_batch(house: SimpleNamespace) -> None:
    answer = house.ask(event("x"), {"content-type": "application/cloudevents+json; charset=utf-8"})
    assert (answer.status_code, answer.json()) == (202, {"id": "x", "status": 202})


def test_bad_items_of_a_batch_do_not_hold_back_the_good_ones(house: SimpleNamespace) -> None:
    batch = [event("a"), event("b", value="x"), {"data": measure()}, event("", value=1), event("e")]
    answer = house.ask(batch, BATCH)
    assert answer.status_code == 207
    told = [(i["status"], i.get("code"), i.get("field")) for i in answer.json()["items"]]
    assert told == [
        (202, None, None),
        (422, "wrong_type", "value"),
        (422, "envelope", None),
        (422, "envelope", "id"),
        (202, None, None),
    ]
    assert house.meters.accepted_events["topic"] == 2
    assert house.meters.kept_events["topic"] == 3
    assert house.meters.rejects == {"wrong_type": 1, "envelope": 2}


def test_a_refused_item_goes_to_kafka_as_it_came_with_the_verdict_and_is_said_to_be_kept(
    house: SimpleNamespace,
) -> None:
    bad = b'{ "source_id":"oven", "metric":"heat","value":"hot","measured_at":1772362800 }'
    told = house.ask(bad, JSON | {"ce-id": "e-1"}).json()
    assert (told["status"], told["code"], told["field"], told["kept"]) == (
        422,
        "wrong_type",
        "value",
        True,
    )
    ((_, message),) = house.producer.sent
    headers = dict(message.headers)
    assert (message.value, message.key, headers["ce_id"]) == (bad, b"oven", b"e-1")
    version = load_all()[STREAM].version
    assert headers[REJECTED].decode() == f"{version} wrong_type:value: {told['reason']}"
    assert house.meters.accepted_events["topic"] == 0


@pytest.mark.parametrize("event_id", ["", "x" * 257])
def test_an_id_that_is_refused_is_nobodys_identity(house: SimpleNamespace, event_id: str) -> None:
    assert house.ask([event(event_id)], BATCH).json()["items"][0]["field"] == "id"
    ((_, message),) = house.producer.sent
    assert "ce_id" not in dict(message.headers)
    assert REJECTED in dict(message.headers)


@pytest.mark.parametrize("time", ["now", "2026-03-01T11:00:00", "1772362800"])
def test_a_time_of_the_event_that_is_none_does_not_reach_kafkas_headers(
    house: SimpleNamespace, time: str
) -> None:
    told = house.ask(measure(), JSON | {"ce-time": time}).json()
    assert (told["status"], told["code"], told["field"]) == (422, "envelope", "time")
    assert house.ask([event("a") | {"time": time}], BATCH).json()["items"][0]["field"] == "time"
    assert {dict(m.headers)["ce_time"] for _, m in house.producer.sent} == {
        NOW.isoformat().encode()
    }


def test_a_refused_item_that_kafka_does_not_take_is_to_be_sent_again(
    house: SimpleNamespace,
) -> None:
    house.producer.fates = {b"{": AWAY}
    good = json.dumps(measure()).encode()
    answer = house.ask(good + b"\n{\n", {"content-type": "application/x-ndjson"})
    assert [i["status"] for i in answer.json()["items"]] == [202, 503]
    house.producer.away = AWAY
    answer = house.ask(measure(value="hot"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert not house.meters.rejects
    assert house.meters.kept_events["topic"] == 0


def test_what_is_too_large_to_be_a_dead_letter_says_that_it_is_not_kept(
    house: SimpleNamespace,
) -> None:
    bad = measure(value="hot", pad="")
    bad["pad"] = "x" * (MAX_MESSAGE_BYTES - len(json.dumps(bad)))
    told = house.ask(bad).json()
    assert (told["status"], told["kept"]) == (413, False)
    assert "refused for wrong_type:value" in told["reason"]
    assert house.ask(b"[1,").json()["kept"] is False
    assert house.meters.rejects == {"too_large": 1, "malformed": 1}
    assert not house.producer.sent


def test_a_request_with_a_key_gives_the_same_ids_again_and_says_so(house: SimpleNamespace) -> None:
    key = JSON | {"idempotency-key": "load 7"}
    batch = [measure(), measure(), measure(value="hot")]
    first, again = (house.ask(batch, key).json() for _ in range(2))
    assert first == again
    assert first["ids"] == "idempotency-key"
    ids = [i["id"] for i in first["items"]]
    assert len(set(ids)) == 3
    # As anybody can compute them.
    raw = json.dumps(measure()).encode()
    known = [i["id"] for i in house.ask(b"[" + raw + b"]", key).json()["items"]]
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, "de_stack/collector/idempotency-key")
    assert known == [str(uuid.uuid5(namespace, f"{STREAM}\nload 7\n0\n{raw.decode()}"))]
    # In another form of the request, too; other keys, other bytes, other places: other ids.
    lines = raw + b"\n" + raw
    told = house.ask(lines, key | {"content-type": "application/x-ndjson"}).json()
    assert [i["id"] for i in told["items"]] == [known[0], ids[1]]
    assert house.ask(b" " + raw, key).json()["id"] == known[0]
    others = [
        house.ask(batch, JSON | {"idempotency-key": "load 8"}),
        house.ask([measure(value=2)] * 3, key),
    ]
    for other in others:
        assert not {i["id"] for i in other.json()["items"]} & set(ids)


def test_a_key_does_not_take_the_place_of_an_id(house: SimpleNamespace) -> None:
    key = {"idempotency-key": "k"}
    told = house.ask(measure(), JSON | key | {"ce-id": "mine"}).json()
    assert (told["id"], told["ids"]) == ("mine", "given")
    told = house.ask([event("a")], BATCH | key).json()
    assert (told["items"][0]["id"], told["ids"]) == ("a", "given")
    assert "ids" not in house.ask(measure()).json()


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "\xfc"])
def test_a_key_that_cannot_be_one_is_refused(house: SimpleNamespace, key: str) -> None:
    answer = house.ask(measure(), JSON | {"idempotency-key": key.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key")
    assert not house.producer.sent


def test_too_many_requests_at_once_are_told_when_to_come_back(house: SimpleNamespace) -> None:
    house.producer.holding = True

    async def story() -> None:
        transport = httpx.ASGITransport(house.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://c") as client:
            asked = [asyncio.create_task(client.post(URL, json=measure())) for _ in range(4)]
            await _until(lambda: len(house.producer.waiting) == 4)
            more = await client.post(URL, json=measure())
            assert (more.status_code, more.json()["code"]) == (503, "busy")
            assert more.headers["retry-after"] == "1"
            for settled in list(house.producer.waiting):
                settled(None)
            assert {(await one).status_code for one in asked} == {202}
            house.producer.holding = False
            assert (await client.post(URL, json=measure())).status_code == 202

    asyncio.run(story())


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 400, "malformed", None),
        (b"{", 400, "malformed", None),
        (b"[1,", 400, "malformed", None),
        (json.dumps(measure()).encode() + b"x", 400, "malformed", None),
        (b'{"value":NaN}', 400, "malformed", None),
        (b"\xff\xfe", 400, "malformed", None),
        (measure(value="1"), 422, "wrong_type", "value"),
        (measure(value=...), 422, "missing", "value"),
        (measure(source_id=""), 422, "out_of_range", "source_id"),
        (measure(measured_at="2026-03-01T12:06:00Z"), 422, "in_future", "measured_at"),
        (measure(measured_at="2025-12-31T23:59:59Z"), 422, "before_history", "measured_at"),
        (b"1", 422, "wrong_type", None),
        (measure(pad="x" * MAX_MESSAGE_BYTES), 413, "too_large", None),
        (b" " * (3 << 20), 413, "too_large", None),
        ([measure()] * 51, 413, "too_many", None),
    ],
)
def test_what_cannot_be_accepted_is_refused_with_code_and_field(
    house: SimpleNamespace, body: object, status: int, code: str, field: str | None
) -> None:
    answer = house.ask(body)
    told = answer.json()
    assert (answer.status_code, told["code"], told.get("field")) == (status, code, field)
    kept = [dict(message.headers)[REJECTED] for _, message in house.producer.sent]
    assert len(kept) == told["kept"] == house.meters.kept_events["topic"]
    assert house.meters.rejects == {code: 1}
    assert house.budget.used == 0


def test_key_and_envelope_count_for_the_largest_message(house: SimpleNamespace) -> None:
    kind = {"content-type": "application/cloudevents+json"}
    assert house.ask(event("x"), kind).status_code == 202
    ((_, small),) = house.producer.sent
    room = MAX_MESSAGE_BYTES - small.size
    for part in ("source", "type"):
        grown = event("x") | {"time": small.headers[4][1].decode()}
        assert house.ask(grown | {part: grown[part] + "s" * room}, kind).status_code == 202
        assert house.producer.sent[-1][1].size == MAX_MESSAGE_BYTES
        answer = house.ask(grown | {part: grown[part] + "s" * (room + 1)}, kind)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert "1000001 bytes, at most 1000000 with key and envelope" in answer.json()["reason"]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_unknown_stream_is_told_the_known_ones(house: SimpleNamespace, method: str) -> None:
    answer = house.ask(measure(), url="/v1/streams/telemetry.mesures", method=method)
    assert (answer.status_code, answer.json()["known"]) == (404, [STREAM, TICKS])


def test_a_stream_tells_what_its_messages_look_like(house: SimpleNamespace) -> None:
    answer = house.ask(b"", method="GET")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/schema+json")
    assert answer.json() == json_schema(load_all()[STREAM])
    holds = jsonschema.Draft202012Validator(answer.json()).is_valid
    assert (holds(measure()), holds(measure(value="hot"))) == (True, False)
    assert house.ask(b"", method="PUT").status_code == 405


@pytest.mark.parametrize("media", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_a_form_that_any_web_page_could_post_is_refused(house: SimpleNamespace, media: str) -> None:
    assert house.ask(measure(), {"content-type": media}).status_code == 415


def test_kafka_away_is_503_with_a_time_to_come_back(house: SimpleNamespace) -> None:
    house.producer.away = AWAY
    answer = house.ask(measure())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "nobody answered" in answer.json()["reason"]
    assert house.ask([measure()]).status_code == 503
    assert house.ask(b"", url="/healthz", method="GET").status_code == 503
    assert house.meters.accepted_events["topic"] == house.budget.used == 0


def test_a_batch_of_which_kafka_took_a_part_says_which(house: SimpleNamespace) -> None:
    lost, large = (json.dumps(measure(value=n)).encode() for n in (2, 3))
    house.producer.fates = {lost: AWAY, large: TooLarge("produce", "1 MB")}
    answer = house.ask(b"[%s,%s,%s]" % (json.dumps(measure()).encode(), lost, large))
    assert [i["status"] for i in answer.json()["items"]] == [202, 503, 413]
    assert (answer.status_code, answer.headers["retry-after"]) == (207, "1")
    assert house.meters.accepted_events["topic"] == 1


def test_no_answer_comes_before_kafka_has_acknowledged_every_item(house: SimpleNamespace) -> None:
    house.producer.holding = True

    async def story() -> None:
        transport = httpx.ASGITransport(house.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://c") as client:
            asked = asyncio.create_task(client.post(URL, json=[measure(), measure()]))
            await _until(lambda: len(house.producer.waiting) == 2)
            house.producer.waiting[1](None)
            await asyncio.sleep(0.05)
            assert not asked.done()
            assert house.meters.accepted_events["topic"] == 0
            house.producer.waiting[0](None)
            assert (await asked).status_code == 202

    asyncio.run(story())
    assert house.meters.accepted_events["topic"] == 2


def test_an_acknowledgement_after_the_deadline_is_not_counted(hasty: SimpleNamespace) -> None:
    hasty.producer.holding = True
    assert hasty.ask(measure()).status_code == 503
    assert hasty.budget.used > 0, "bytes that the producer still holds must stay counted"
    hasty.producer.waiting[0](None)
    assert (hasty.budget.used, hasty.meters.accepted_events["topic"]) == (0, 0)


def test_a_full_house_says_so_instead_of_growing(house: SimpleNamespace) -> None:
    assert house.budget.take(4 << 20)
    answer = house.ask(measure())
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert house.budget.used == 4 << 20


def test_a_body_that_does_not_come_is_given_up(hasty: SimpleNamespace) -> None:
    async def story() -> httpx.Response:
        async def slow():  # noqa: ANN202
            yield b"{"
            await asyncio.sleep(5)

        transport = httpx.ASGITransport(hasty.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://c") as client:
            return await client.post(URL, content=slow(), headers=JSON)

    assert asyncio.run(story()).status_code == 408
    assert hasty.budget.used == 0


def test_health_and_metrics_have_pages(house: SimpleNamespace) -> None:
    assert house.ask(b"", url="/healthz", method="GET").json() == {"status": "ok"}
    assert house.ask(b"", url="/metrics", method="GET").text == "counts"


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not true():
            await asyncio.sleep(0.005)

"""The pipeline on systems that ask for passwords, certificates and rights, by settings only.

Belongs here: what came of it, and what is said where something is wrong. Does not belong here: the
systems, and what a user types (`de_stack_tests/secured`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from de_stack.failures import Failure, PermanentFailure, TransientFailure
from de_stack.flow import land
from de_stack.orchestration import ticks
from de_stack.resources import kafka_messages
from de_stack.resources.kafka import Kafka
from de_stack.resources.kafka_bulk import BulkProducer
from de_stack.resources.kafka_messages import Message, fenced_producer, read_range
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings
from de_stack_tests.secured import cluster, watch
from de_stack_tests.secured.place import STRANGER, Place, a_place
from de_stack_tests.secured.story import (
    BAD,
    BY_DOOR,
    BY_FILE,
    BY_GENERATOR,
    STREAM,
    WRONG,
    Story,
    a_collector,
    tell,
)

# More than any of them waits, on two cores that others use as well; and no endless wait.
SECONDS = 25
# A refusal comes after TLS, SCRAM and a delay of the broker, which is one of many programs here.
PATIENCE_S = 6
GOOD = BY_DOOR + BY_FILE + BY_GENERATOR + BAD


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with a_place() as made:
        yield made


@pytest.fixture(scope="module")
def story(place: Place) -> Story:
    """Told once; the tests look at what came of it."""
    told = Story(place)
    with watch.Arguments() as arguments:
        tell(told)
    told.said += [("arguments", line) for line in arguments.seen]
    return told


def serving(place: Place, sql: str) -> list[tuple[Any, ...]]:
    with Postgres(place.settings(), "serving").transaction("read in a test") as db:
        return db.execute(sql.encode()).fetchall()


STATISTICS = """
select source_id, metric, make_timestamp(us - us % 300000000), count(*), min(value), max(value),
       avg(value), stddev_samp(value), quantile_cont(value, 0.5), quantile_cont(value, 0.9),
       quantile_cont(value, 0.99)
from (select source_id, metric, value, epoch_us(measured_at::timestamptz) us
      from read_json(?, format = 'newline_delimited', columns = {source_id: 'varchar',
        metric: 'varchar', value: 'double', measured_at: 'varchar'}))
group by all order by all
"""


def test_postgres_has_what_duckdb_computes_from_the_topics_own_messages(
    story: Story, tmp_path: Path
) -> None:
    settings = story.place.settings()
    state = Kafka(settings).topic_state(STREAM)
    assert state is not None
    messages = list(read_range(settings, STREAM, state.begin, state.end))
    assert len(messages) == GOOD + BAD
    raw = tmp_path / "raw.ndjson"
    raw.write_bytes(
        b"\n".join(m.value or b"" for m in messages if b'"hot"' not in (m.value or b""))
    )
    with duckdb.connect() as db:
        wanted = db.execute(STATISTICS, [str(raw)]).fetchall()
    found = serving(
        story.place,
        "select source_id, metric, window_start at time zone 'UTC', count, min, max, mean, stddev, "
        'p50, p90, p99 from telemetry.stats_measures order by source_id collate "C", 2, 3',
    )
    assert len(found) == len(wanted) > 5
    for got, want in zip(found, wanted, strict=True):
        assert got[:3] == want[:3]
        assert got[3:] == pytest.approx(want[3:], rel=1e-9)
    assert sum(row[3] for row in found) == GOOD
    (marts,) = serving(story.place, "select sum(count) from telemetry.mart_daily_metrics")
    assert marts == (GOOD,)


def test_a_continuous_query_has_the_last_minutes_by_a_driver_on_the_cluster(story: Story) -> None:
    # What door and file have sent was measured more than 27 minutes before: it is kept for 15.
    assert serving(story.place, "select sum(count) from telemetry.live_measures") == [
        (BY_GENERATOR,)
    ]
    checkpoint = Path(story.place.env["DE_STACK_CHECKPOINT_URI"]) / "telemetry" / "live_measures"
    assert (checkpoint / "commits" / "0").is_file()


def test_every_row_is_counted_in_every_room(story: Story) -> None:
    found = story.counts
    assert found["equal"]
    assert (found["accepted"], found["refused"]) == (BY_DOOR, BAD)
    assert found["by_others"] == BY_FILE + BY_GENERATOR
    assert (found["replayed"], found["dead"]) == (BAD, 0)
    assert found["bronze"] == GOOD + BAD
    assert found["silver"] == found["published"] == GOOD


def test_the_workers_did_the_work_of_connect_and_of_a_driver_of_its_own(story: Story) -> None:
    connect, *classic = cluster.tasks(story.place.site).values()
    assert set(connect) == set(cluster.WORKERS)
    assert min(connect.values()) > 1
    # A continuous query and a landing.
    assert len(classic) == 2
    assert all(done and set(done) <= set(cluster.WORKERS) for done in classic)


def test_no_password_is_in_arguments_logs_dagster_or_the_lake(story: Story) -> None:
    place = story.place
    site, env = place.site, place.env
    places = dict(watch.files(place.user))
    for name in ("logs", "data/spark"):
        places |= dict(watch.files(site.home / name))
    for database in ("dagster", "ledger", "serving"):
        places |= dict(watch.rows(env[f"DE_STACK_{database.upper()}_DSN"], database))
    places |= {f"{name} ({n})": text.encode() for n, (name, text) in enumerate(story.said)}
    secret = watch.pattern([*place.secrets.values(), WRONG])
    assert [where for where, content in places.items() if secret.search(content)] == []
    # It was looked at where things are told.
    told = places["dagster.public.event_logs"].decode()
    assert "correct DE_STACK_KAFKA_SASL_USERNAME" in told
    plans = [content for where, content in places.items() if "/events/" in where]
    # The landings' plans name their topic; a batch of a query is told as rows that are there.
    assert [b"KafkaRelation" in plan for plan in plans] == [True, False, True]
    for part in ("_delta_log", "worker_1", "kafka.log", "spark.log", "collector", "arguments"):
        assert any(part in where for where in places), part
    assert any("SparkConnectServer" in text for name, text in story.said if name == "arguments")


def test_a_run_with_a_wrong_password_fails_and_says_what_to_correct(story: Story) -> None:
    done = story.refused
    assert done is not None
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "a retry cannot help" in said
    assert "correct DE_STACK_KAFKA_SASL_USERNAME and DE_STACK_KAFKA_SASL_PASSWORD" in said


# What is wrong in the user's settings, and what is said.
PASSWORD = {"kafka_sasl_password": WRONG}
PLAIN = {
    "kafka_security_protocol": "PLAINTEXT",
    "kafka_sasl_mechanism": None,
    "kafka_sasl_username": None,
    "kafka_sasl_password": None,
}
WITHOUT_TLS = {"kafka_security_protocol": "SASL_PLAINTEXT"}
CASES = [
    pytest.param(PASSWORD, PermanentFailure, "DE_STACK_KAFKA_SASL_PASSWORD", id="password"),
    pytest.param({}, PermanentFailure, "DE_STACK_KAFKA_SSL_CAFILE", id="authority"),
    pytest.param(PLAIN, TransientFailure, "DE_STACK_KAFKA_SECURITY_PROTOCOL", id="plain"),
    pytest.param(WITHOUT_TLS, TransientFailure, "SECURITY_PROTOCOL", id="log-in without TLS"),
]


def wrong(place: Place, changes: dict[str, Any]) -> Settings:
    return place.settings(**(changes or {"kafka_ssl_cafile": str(place.stranger.file)}))


def fails_with(kind: type[Failure], said: str, call: Callable[[], object]) -> Failure:
    began = time.monotonic()
    with pytest.raises(Failure) as caught:
        call()
    assert time.monotonic() - began < SECONDS
    assert type(caught.value) is kind, caught.value
    assert said in str(caught.value)
    assert WRONG not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("changes", "kind", "said"), CASES)
def test_kafka_python_says_in_seconds_why_it_was_not_let_in(
    place: Place, changes: dict[str, Any], kind: type[Failure], said: str
) -> None:
    kafka = Kafka(wrong(place, changes))
    fails_with(kind, said, lambda: kafka.topic_state(STREAM, PATIENCE_S * 1000))


def test_a_sensors_tick_says_of_a_wrong_password_that_no_retry_helps(place: Place) -> None:
    kafka = Kafka(wrong(place, PASSWORD))
    # Its two seconds, which a busy machine may miss: the next tick asks again.
    told: list[Failure] = []
    while not any(isinstance(failure, PermanentFailure) for failure in told):
        assert len(told) < 3, told
        with pytest.raises(Failure) as caught:
            kafka.topic_state(STREAM, ticks._DEADLINE_MS)
        told.append(caught.value)
    assert "refused us" in str(told[-1])


@pytest.mark.parametrize(("changes", "kind", "said"), CASES)
def test_librdkafka_says_in_seconds_why_it_was_not_let_in(
    place: Place, changes: dict[str, Any], kind: type[Failure], said: str
) -> None:
    producer = BulkProducer(wrong(place, changes), "send", patience_s=PATIENCE_S)

    def send() -> None:
        producer.send(STREAM, b"k", b"v", [])
        producer.flush()

    try:
        fails_with(kind, said, send)
    finally:
        producer.close()


def test_a_transaction_and_a_reader_with_a_wrong_password_say_so_too(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_messages, "DEADLINE_MS", PATIENCE_S * 1000)
    settings = wrong(place, PASSWORD)

    def send() -> None:
        with fenced_producer(settings, "replay:telemetry.x", "send") as producer:
            producer.send(STREAM, [Message(b"k", b"v", [])])

    said = "DE_STACK_KAFKA_SASL_PASSWORD"
    fails_with(PermanentFailure, said, send)
    read = lambda: list(read_range(settings, STREAM, {0: 0}, {0: 1}))  # noqa: E731
    fails_with(PermanentFailure, said, read)


def test_a_collector_with_a_wrong_password_runs_and_its_health_says_why(place: Place) -> None:
    story = Story(place)
    with a_collector(story, "locked_out", DE_STACK_KAFKA_SASL_PASSWORD=WRONG) as url:
        refused = story.post(url, [1.0])
        # The first question ends before the log-in has failed for good; the next one knows why.
        health = httpx.get(f"{url}/healthz", timeout=30).json()
    assert (health["status"], health["code"]) == (503, "kafka_away")
    assert "correct DE_STACK_KAFKA_SASL_USERNAME" in health["reason"]
    assert {r["code"] for r in refused.json()["items"]} == {"kafka_away"}
    assert WRONG.encode() not in place.crew.log("locked_out").read_bytes()


def test_somebody_without_rights_is_told_which_page_lists_them(place: Place) -> None:
    word = place.secrets[STRANGER]
    settings = place.settings(kafka_sasl_username=STRANGER, kafka_sasl_password=word)
    page = "docs/your-own-systems.md"
    fails_with(PermanentFailure, page, lambda: Kafka(settings).topic_state(STREAM))
    from de_stack.contracts import load_stream

    fails_with(PermanentFailure, page, lambda: land.waiting(settings, load_stream(STREAM)))
    # What he may not see, he may not write to either, nor open a transaction.
    producer = BulkProducer(settings, "send", patience_s=5)

    def send() -> None:
        producer.send(STREAM, b"k", b"v", [])
        producer.flush()

    try:
        fails_with(PermanentFailure, page, send)
    finally:
        producer.close()

    def fence() -> None:
        with fenced_producer(settings, "replay:telemetry.x", "send"):
            pass

    fails_with(PermanentFailure, page, fence)


def test_our_user_may_do_nothing_beyond_our_topics(place: Place) -> None:
    settings = place.settings()
    kafka = Kafka(settings)
    page = "docs/your-own-systems.md"
    fails_with(PermanentFailure, page, lambda: kafka.topic_state("payments"))
    made = lambda: kafka.ensure_topic("payments", 1, 1, {})  # noqa: E731
    fails_with(PermanentFailure, page, made)

    def fence() -> None:
        with fenced_producer(settings, "payments", "send"):
            pass

    fails_with(PermanentFailure, page, fence)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sslmode=verify-full", "sslmode=disable", "no encryption"),
        ("sslrootcert={ca}", "sslrootcert={unknown}", "certificate verify failed"),
        ("sslrootcert={ca}", "sslrootcert=/none.pem", "does not exist"),
        ("@127.0.0.1:", "@localhost:", "does not match host name"),
        ("&passfile=", "&password=wrong&passfile=", "password authentication failed"),
    ],
    ids=["plain", "authority", "no file", "another name", "password"],
)
def test_postgres_says_at_once_why_it_did_not_let_us_in(
    place: Place, old: str, new: str, said: str
) -> None:
    files = {"ca": place.authority.file, "unknown": place.stranger.file}
    dsn = place.env["DE_STACK_LEDGER_DSN"]
    assert old.format(**files) in dsn
    settings = place.settings(ledger_dsn=dsn.replace(old.format(**files), new.format(**files)))

    def ask() -> None:
        with Postgres(settings, "ledger").transaction("ask"):
            pass

    found = fails_with(PermanentFailure, said, ask)
    assert "DE_STACK_LEDGER_DSN" in str(found.fix)


def test_init_types_one_line_and_ends_with_1(place: Place, story: Story) -> None:
    del story  # It makes the topics, and is not to be disturbed.
    told = Story(place)
    unknown = str(place.stranger.file)
    told.type("de-stack", "init", code=1, DE_STACK_KAFKA_SSL_CAFILE=unknown)
    ((_, said),) = told.said
    assert len(said.strip().splitlines()) == 1, said
    assert "set DE_STACK_KAFKA_SSL_CAFILE" in said


def test_status_shows_where_things_are_and_no_password(place: Place) -> None:
    told = json.loads(Story(place).type("de-stack", "status", "--json"))
    assert told["profile"] == "external"
    assert told["services"] == []
    assert place.secrets["de_stack"] not in json.dumps(told)

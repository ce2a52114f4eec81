"""The name of a sink -> what opens it.

Belongs here: options that a sink needs, or that make no sense with it. Does not belong here: the
sinks themselves.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from de_stack.failures import PermanentFailure
from de_stack.settings import Settings
from de_stack.sources.generator.job import Wish, default_stream
from de_stack.sources.generator.sinks import Console, Sink

if TYPE_CHECKING:
    from de_stack.contracts import Stream

log = logging.getLogger(__name__)
KINDS = ("console", "file", "http", "kafka")
# The broker may be away for longer: then the same events are sent again, by a new producer.
_PATIENCE_S = 5.0


def destination(
    settings: Settings, wish: Wish, stream: Stream | None, kind: str
) -> Callable[[], Sink]:
    """What opens the sink of a wish; nothing is opened yet.

    Raises:
        PermanentFailure: an option is missing, or is none of this sink's; an address is not set.
    """
    tried = f"send to {kind}"
    if kind not in KINDS:
        raise PermanentFailure(tried, "there is no such sink", f"one of: {', '.join(KINDS)}")
    if wish.out and kind != "file":
        raise PermanentFailure(tried, "--out is for --sink file", "leave one of them out")
    if wish.topic and kind != "kafka":
        raise PermanentFailure(tried, "--topic is for --sink kafka", "leave one of them out")
    if kind == "console":
        return lambda: Console(sys.stdout.buffer)
    if kind == "file":
        return _file(wish, tried)
    if kind == "http":
        return _http(settings, stream.name if stream else default_stream())
    return _kafka(settings, wish, stream, tried)


def _file(wish: Wish, tried: str) -> Callable[[], Sink]:
    out = wish.out
    if out is None:
        raise PermanentFailure(tried, "no file is named", "give --out FILE")

    def opens() -> Sink:
        from de_stack.sources.generator.file_sink import File

        file = File(out)
        if file.found_bytes:
            cut = "ended, it was cut" if file.had_cut_line else "whole"
            told = {"file": out, "bytes": file.found_bytes, "last_line": cut}
            log.info("appending", extra=told)
        return file

    return opens


def _http(settings: Settings, door: str) -> Callable[[], Sink]:
    url = settings.need("collector_url")

    def opens() -> Sink:
        import httpx

        from de_stack.sources.generator.http_sink import Collector

        # Longer than the collector's own deadline: an answer that is on its way is not given up.
        timeout = httpx.Timeout(15.0, connect=2.0)
        return Collector(httpx.Client(timeout=timeout, trust_env=False), url, door)

    return opens


def _kafka(settings: Settings, wish: Wish, stream: Stream | None, tried: str) -> Callable[[], Sink]:
    topic = wish.topic or (stream and settings.names.topic(*stream.topic))
    if not topic:
        got = "no topic: the messages are of no stream"
        raise PermanentFailure(tried, got, "give --topic NAME, or a STREAM")
    settings.need("kafka_bootstrap")
    kind = stream.name if stream else topic

    def opens() -> Sink:
        from de_stack.resources.kafka_bulk import BulkProducer
        from de_stack.sources.generator.kafka_sink import Topic

        _check_topic(settings, topic, is_ours=bool(wish.topic))
        said = f"send events to topic {topic}"
        return Topic(lambda: BulkProducer(settings, said, _PATIENCE_S), topic, kind)

    return opens


def _check_topic(settings: Settings, topic: str, is_ours: bool) -> None:
    """The broker makes no topic by itself; one that was named for the purpose is made here."""
    from de_stack.resources.kafka import Kafka

    kafka = Kafka(settings)
    if kafka.topic_state(topic) is not None:
        return
    if not is_ours:
        got = "the broker has no such topic"
        raise PermanentFailure(
            f"find topic {topic}", got, f"{settings.making} makes it", page="no-topic"
        )
    kafka.ensure_topic(topic, 3, settings.kafka_replicas, {})
    log.info("topic made", extra={"topic": topic, "partitions": 3})

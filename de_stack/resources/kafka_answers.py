"""Kafka: what kafka-python raises, and what it only writes to its log, as failures.

Belongs here: whether a retry can help, and what a person has to change. Does not belong here: the
calls (`kafka.py`, `kafka_messages.py`), librdkafka's errors (`kafka_bulk.py`).

A client that cannot log in, or does not believe a certificate, tries again until its time is over
and then says `KafkaTimeoutError: Unable to bootstrap`: why, only its log tells.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from de_stack.failures import Failure, PermanentFailure, TransientFailure
from de_stack.resources.kafka_login import librdkafka_options

if TYPE_CHECKING:
    from de_stack.settings import Settings

RIGHTS = "give our user the rights that docs/your-own-systems.md lists"
_ANOTHER_S = 2.0
_PROTOCOL = "DE_STACK_KAFKA_SECURITY_PROTOCOL"
# What stays as it is until somebody acts: words of kafka-python, OpenSSL or librdkafka (in lower
# case), and what to do.
_FOR_GOOD = (
    (
        ("hostname mismatch", "ip address mismatch", "is not valid for"),
        "name the brokers (DE_STACK_KAFKA_BOOTSTRAP, their advertised.listeners) as their "
        "certificates do",
    ),
    (
        (
            "certificate verify failed",
            "certificate_verify_failed",
            "broker certificate could not be",
        ),
        "set DE_STACK_KAFKA_SSL_CAFILE to the file (PEM) of who signs the brokers' certificates",
    ),
    (
        ("unsupportedsaslmechanism", "unsupported sasl mechanism", "no mechanism available"),
        "set DE_STACK_KAFKA_SASL_MECHANISM to one that the brokers have",
    ),
    (
        ("saslauthenticationfailed", "authentication failed"),
        "correct DE_STACK_KAFKA_SASL_USERNAME and DE_STACK_KAFKA_SASL_PASSWORD",
    ),
    (
        (
            "illegalsaslstate",
            "wrong_version_number",
            "wrong version number",
            "packet length too long",
        ),
        f"set {_PROTOCOL} to what the brokers speak at this port",
    ),
)


class LastWords(logging.Handler):
    """Keeps why a bootstrap fails (refused, TLS, password): only the client's log tells."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Remember a line that says something new."""
        text = record.getMessage()
        if "not ready" in text or text.startswith("Bootstrap failed"):
            return
        # One attempt may have been told why, and the next one only that it was hung up on.
        if what_to_do(text) or not what_to_do(self.text):
            self.text = text[:500]

    def __enter__(self) -> LastWords:
        self.setLevel(logging.WARNING)
        logging.getLogger("kafka").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("kafka").removeHandler(self)


def what_to_do(said: str) -> str | None:
    """What mends an answer that a retry cannot; None where one can help."""
    lower = said.lower()
    return next((fix for words, fix in _FOR_GOOD if any(w in lower for w in words)), None)


def reason(settings: Settings, heard: str) -> str:
    """Why a bootstrap has failed: what kafka-python's log said, or what another client is told.

    A broker that refuses a log-in says so and hangs up. Over TLS kafka-python throws away what it
    has read where the end comes with it, as on a busy machine, and says `socket disconnected`.
    """
    nobody_is_there = "refused" in heard.lower()
    if what_to_do(heard) or nobody_is_there or "SASL" not in settings.kafka_security_protocol:
        return heard
    from confluent_kafka import KafkaError, KafkaException, Producer

    told: list[str] = []

    def listen(error: KafkaError) -> None:
        told.append(f"{error.name()}: {error.str()}")

    options = {"bootstrap.servers": settings.need("kafka_bootstrap"), "log_level": 0}
    client = Producer({**options, **librdkafka_options(settings), "error_cb": listen})
    with suppress(KafkaException):
        client.list_topics(timeout=_ANOTHER_S)
    client.poll(0)
    return next((words for words in told if what_to_do(words)), heard)


def mending(settings: Settings) -> str:
    """What to do about brokers that do not answer."""
    general = settings.mending("kafka", "kafka_bootstrap")
    if settings.profile == "embedded" or "SSL" in settings.kafka_security_protocol:
        return general
    return f"{general}; brokers that want TLS end a plain connection like this: {_PROTOCOL}"


def meaning(settings: Settings, tried: str, error: Exception, last_words: str = "") -> Failure:
    """An error of kafka-python as a failure.

    Args:
        settings: of the client that raised it.
        tried: what was attempted.
        error: what it raised.
        last_words: what it wrote to its log before.
    """
    from kafka import errors

    address, said = settings.need("kafka_bootstrap"), f"{type(error).__name__}: {error}"
    if isinstance(error, errors.AuthorizationError):
        return PermanentFailure(
            tried, f"{address} refused us: {said}", RIGHTS, page="access-refused"
        )
    # A call that failed later may have been preceded by a broker that was away for a moment.
    is_bootstrap = isinstance(error, errors.KafkaTimeoutError)
    heard = reason(settings, last_words) if is_bootstrap else ""
    if fix := what_to_do(f"{said} {heard}"):
        got = f"{address} refused us: {heard or said}"
        return PermanentFailure(tried, got, fix, page="access-refused")
    got = f"{address} ({settings.kafka_security_protocol}): {said}"
    if heard:
        got += f"; last it said: {heard}"
    return TransientFailure(tried, got, mending(settings), page="system-away")


@contextmanager
def understood(settings: Settings, tried: str) -> Iterator[None]:
    """Errors of kafka-python in the block become failures.

    Raises:
        PermanentFailure: the broker refused us, or one of us speaks another protocol.
        TransientFailure: nobody answered in time.
    """
    from kafka import errors

    with LastWords() as heard:
        try:
            yield
        except errors.KafkaError as error:
            raise meaning(settings, tried, error, heard.text) from error

"""Kafka: what kafka-python raises, and what it only writes to its log, as failures.

Belongs here: whether a retry can help, and what a person has to change. Does not belong here: the
calls (`kafka.py`, `kafka_messages.py`), librdkafka's errors (`kafka_bulk.py`).

A client that cannot log in, or does not believe a certificate, tries again until its time is over
and then says `KafkaTimeoutError: Unable to bootstrap`: why, only its log tells.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from de_stack.failures import Failure, PermanentFailure, TransientFailure

if TYPE_CHECKING:
    from de_stack.settings import Settings

RIGHTS = "give our user the rights that docs/your-own-systems.md lists"
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
        if "not ready" not in text and not text.startswith("Bootstrap failed"):
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
    heard = last_words if isinstance(error, errors.KafkaTimeoutError) else ""
    if fix := what_to_do(f"{said} {heard}"):
        got = f"{address} refused us: {heard or said}"
        return PermanentFailure(tried, got, fix, page="access-refused")
    got = f"{address} ({settings.kafka_security_protocol}): {said}"
    mending = settings.mending("kafka", "kafka_bootstrap")
    if heard:
        got += f"; last it said: {heard}"
        if "SSL" not in settings.kafka_security_protocol:
            mending += f"; brokers that want TLS end a plain connection like this: {_PROTOCOL}"
    return TransientFailure(tried, got, mending, page="system-away")


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

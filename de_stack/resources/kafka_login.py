"""Kafka: how a client proves who it is, and whom it believes.

Belongs here: the log-in and the authorities of the settings, held against each other, and what the
three kinds of client (kafka-python, librdkafka, Java) call them. Does not belong here: the clients'
other options (`kafka.py`, `kafka_bulk.py`), what a broker answers (`kafka_answers.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from de_stack.failures import PermanentFailure

if TYPE_CHECKING:
    from de_stack.settings import Settings

_JAAS = "org.apache.kafka.common.security"


class Login(NamedTuple):
    """What a broker asks for."""

    mechanism: str
    user: str
    password: str


def login(settings: Settings) -> Login | None:
    """The log-in; None where the protocol has none.

    Raises:
        PermanentFailure: a part is missing, or is given to a protocol that does not log in: it
            would be left out in silence.
    """
    protocol, asks = settings.kafka_security_protocol, "SASL" in settings.kafka_security_protocol
    password = settings.kafka_sasl_password
    parts = {
        "MECHANISM": settings.kafka_sasl_mechanism,
        "USERNAME": settings.kafka_sasl_username,
        "PASSWORD": password.get_secret_value() if password else None,
    }
    wrong = [f"DE_STACK_KAFKA_SASL_{part}" for part in parts if asks is not bool(parts[part])]
    if wrong:
        got = f"DE_STACK_KAFKA_SECURITY_PROTOCOL is {protocol}, and {', '.join(wrong)}"
        fix = "set all of them" if asks else "set it to SASL_SSL or SASL_PLAINTEXT, or unset them"
        got += " not set" if asks else " set"
        raise PermanentFailure("log in to Kafka", got, fix, page="settings")
    return Login(*map(str, parts.values())) if asks else None


def authority(settings: Settings) -> Path | None:
    """File (PEM) of the authorities that are believed; None: those that the system believes.

    Raises:
        PermanentFailure: there is no such file. Each client would say so in its own way, and
            kafka-python only in its log.
    """
    given = settings.kafka_ssl_cafile
    if given is None:
        return None
    path = given.expanduser()
    try:
        has_certificate = "-----BEGIN CERTIFICATE-----" in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        has_certificate, got = False, f"{type(error).__name__}: {error}"
    else:
        got = "there is no certificate in it"
    if not has_certificate:
        fix = "DE_STACK_KAFKA_SSL_CAFILE: the file (PEM) of who signs the brokers' certificates"
        raise PermanentFailure(f"read {path}", got, fix, page="settings")
    return path


def python_options(settings: Settings) -> dict[str, Any]:
    """As kafka-python calls it."""
    options: dict[str, Any] = {"security_protocol": settings.kafka_security_protocol}
    if known := login(settings):
        options |= {
            "sasl_mechanism": known.mechanism,
            "sasl_plain_username": known.user,
            "sasl_plain_password": known.password,
        }
    if path := authority(settings):
        options["ssl_cafile"] = str(path)
    return options


def librdkafka_options(settings: Settings) -> dict[str, Any]:
    """As librdkafka calls it."""
    options: dict[str, Any] = {"security.protocol": settings.kafka_security_protocol}
    if known := login(settings):
        options |= {
            "sasl.mechanism": known.mechanism,
            "sasl.username": known.user,
            "sasl.password": known.password,
        }
    if path := authority(settings):
        options["ssl.ca.location"] = str(path)
    return options


def java_options(settings: Settings) -> dict[str, str]:
    """As Java's client calls it, which may run on other machines: no file of this one is named."""
    options = {"security.protocol": settings.kafka_security_protocol}
    if known := login(settings):
        options["sasl.mechanism"] = known.mechanism
        options["sasl.jaas.config"] = _jaas(known)
    if path := authority(settings):
        options["ssl.truststore.type"] = "PEM"
        options["ssl.truststore.certificates"] = path.read_text(encoding="utf-8")
    return options


def _jaas(known: Login) -> str:
    module = "plain.PlainLoginModule"
    if known.mechanism.startswith("SCRAM"):
        module = "scram.ScramLoginModule"
    quote = {ord("\\"): "\\\\", ord('"'): '\\"'}
    user, password = known.user.translate(quote), known.password.translate(quote)
    return f'{_JAAS}.{module} required username="{user}" password="{password}";'

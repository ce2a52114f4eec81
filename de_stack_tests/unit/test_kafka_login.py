"""How Kafka clients log in, and what answers mean. Belongs here: options and texts; no broker."""

import logging
from pathlib import Path
from typing import Any

import pytest
from kafka import errors

from de_stack.failures import Failure, PermanentFailure, TransientFailure
from de_stack.resources import kafka_bulk
from de_stack.resources.kafka import client_options, spark_options
from de_stack.resources.kafka_answers import LastWords, meaning, understood
from de_stack.settings import Settings

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
CLIENTS = (client_options, kafka_bulk.client_options, spark_options)


def external(**values: Any) -> Settings:
    return Settings(profile="external", home=Path("/nowhere"), kafka_bootstrap="a:1,b:2", **values)


def secured(**changes: Any) -> Settings:
    given = {
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": "SCRAM-SHA-512",
        "kafka_sasl_username": "me",
        "kafka_sasl_password": 'p"w\\d',
    }
    return external(**{**given, **changes})


def test_plain_kafka_needs_an_address_only() -> None:
    settings = external()
    assert client_options(settings) == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "PLAINTEXT",
    }
    found = spark_options(settings)
    assert found["kafka.bootstrap.servers"] == "a:1,b:2"
    assert found["kafka.isolation.level"] == "read_committed"
    assert not any("sasl" in name or "ssl" in name for name in found)


@pytest.mark.parametrize(
    ("mechanism", "module"),
    [("PLAIN", "plain.PlainLoginModule"), ("SCRAM-SHA-512", "scram.ScramLoginModule")],
)
def test_the_three_kafka_clients_log_in_alike(mechanism: Any, module: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(PEM)
    settings = secured(kafka_sasl_mechanism=mechanism, kafka_ssl_cafile=file)
    python, bulk, java = (options(settings) for options in CLIENTS)
    assert (python["sasl_plain_username"], python["sasl_plain_password"]) == ("me", 'p"w\\d')
    assert (bulk["sasl.username"], bulk["sasl.password"]) == ("me", 'p"w\\d')
    assert {python["sasl_mechanism"], bulk["sasl.mechanism"], java["kafka.sasl.mechanism"]} == {
        mechanism
    }
    assert python["security_protocol"] == bulk["security.protocol"] == "SASL_SSL"
    assert java["kafka.security.protocol"] == "SASL_SSL"
    assert python["ssl_cafile"] == bulk["ssl.ca.location"] == str(file)
    jaas = java["kafka.sasl.jaas.config"]
    assert module in jaas
    assert jaas.endswith('required username="me" password="p\\"w\\\\d";')


def test_sparks_workers_are_given_the_authorities_and_not_a_file_of_this_machine(
    tmp_path: Path,
) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(PEM)
    found = spark_options(secured(kafka_ssl_cafile=file))
    assert found["kafka.ssl.truststore.type"] == "PEM"
    assert found["kafka.ssl.truststore.certificates"] == PEM
    assert not any(str(tmp_path) in value for value in found.values())


@pytest.mark.parametrize("options", CLIENTS)
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----"])
def test_authorities_that_are_none_are_refused_before_anybody_is_called(
    options: Any, content: bytes | None, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PermanentFailure, match=r"read .*ca\.pem.*DE_STACK_KAFKA_SSL_CAFILE"):
        options(secured(kafka_ssl_cafile=file))


@pytest.mark.parametrize("options", CLIENTS)
def test_half_a_login_is_refused_and_a_login_that_would_be_left_out_as_well(options: Any) -> None:
    with pytest.raises(PermanentFailure, match="SASL_SSL, and .*_PASSWORD not set.*set all") as e:
        options(secured(kafka_sasl_password=None))
    assert "USERNAME" not in str(e.value)
    with pytest.raises(PermanentFailure, match="is SSL, and .*_PASSWORD set.*SASL_SSL"):
        options(secured(kafka_security_protocol="SSL"))


REFUSED = "Bootstrap connection to 0 failed: [Error 58] SaslAuthenticationFailedError: no (backoff)"
BELIEF = (
    "Connection failed: KafkaConnectionError: Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED] "
    "certificate verify failed: {} (_ssl.c:992)"
)


@pytest.mark.parametrize(
    ("heard", "kind", "said"),
    [
        (REFUSED, PermanentFailure, "DE_STACK_KAFKA_SASL_USERNAME and DE_STACK_KAFKA_SASL_PASSWOR"),
        (BELIEF.format("unable to get local issuer"), PermanentFailure, "KAFKA_SSL_CAFILE"),
        (BELIEF.format("IP address mismatch"), PermanentFailure, "as their certificates do"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version", PermanentFailure, "SECURITY_PROTOCOL"),
        ("Bootstrap connection to 0 failed: refused", TransientFailure, "see that it runs"),
        ("", TransientFailure, "see that it runs"),
    ],
)
def test_why_a_bootstrap_failed_is_told_and_whether_a_retry_can_help(
    heard: str, kind: type[Failure], said: str
) -> None:
    error = errors.KafkaTimeoutError("Unable to bootstrap")
    found = meaning(secured(), "ask", error, heard)
    assert type(found) is kind
    assert heard in str(found)
    assert said in str(found)


def test_a_plain_client_is_told_that_the_brokers_may_want_tls() -> None:
    error = errors.KafkaTimeoutError("Unable to bootstrap")
    found = meaning(external(), "ask", error, "Connection lost")
    assert found.can_retry_help
    assert "DE_STACK_KAFKA_SECURITY_PROTOCOL" in str(found.fix)


@pytest.mark.parametrize(
    "error",
    [errors.TransactionalIdAuthorizationFailedError, errors.GroupAuthorizationFailedError],
)
def test_a_right_that_is_missing_is_permanent_and_the_page_with_the_list_is_named(
    error: type[Exception],
) -> None:
    page = r"docs/your-own-systems\.md"
    with pytest.raises(PermanentFailure, match=page) as caught, understood(secured(), "send"):
        raise error
    assert error.__name__ in str(caught.value)


def test_what_a_client_said_before_does_not_explain_another_failure() -> None:
    found = meaning(secured(), "ask", errors.NotLeaderForPartitionError(), REFUSED)
    assert found.can_retry_help


def test_words_that_tell_are_not_covered_by_later_ones_that_do_not() -> None:
    log = logging.getLogger("kafka.net.manager")
    with LastWords() as heard:
        for line in ("socket disconnected", REFUSED, "socket disconnected", "Bootstrap failed: x"):
            log.warning(line)
        assert heard.text == REFUSED
    log.warning("afterwards")
    assert heard.text == REFUSED

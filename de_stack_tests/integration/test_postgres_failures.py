"""What Postgres says, as failures: whether a retry can help must be right."""

import re

import pytest
from pydantic import SecretStr

from de_stack.failures import Failure, PermanentFailure, TransientFailure
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (lambda dsn: dsn.partition("?")[0] + "?password=wrong", PermanentFailure, "password"),
        (lambda dsn: dsn.partition("?")[0] + "?passfile=/none", PermanentFailure, "no password"),
        (lambda dsn: dsn.replace("/ledger?", "/none?"), PermanentFailure, "does not exist"),
        (lambda dsn: dsn.replace("/ledger?", "/serving?"), PermanentFailure, "permission denied"),
        (lambda dsn: re.sub(r":\d+/", ":1/", dsn), TransientFailure, "port 1 failed"),
    ],
    ids=["wrong password", "no password", "no such database", "not our database", "nobody there"],
)
def test_a_refused_login_cannot_be_mended_by_a_retry(
    stack: Settings,
    monkeypatch: pytest.MonkeyPatch,
    change,  # noqa: ANN001
    kind: type[Failure],
    said: str,
) -> None:
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    dsn = change(stack.need("ledger_dsn"))
    settings = Settings(ledger_dsn=SecretStr(dsn))
    with pytest.raises(Failure, match=said) as caught, Postgres(settings, "ledger").transaction(""):
        pass
    assert type(caught.value) is kind
    assert "wrong" not in str(caught.value)


def test_a_statement_that_takes_too_long_may_pass_later(stack: Settings) -> None:
    with (
        pytest.raises(TransientFailure, match="statement timeout"),
        Postgres(stack, "ledger").transaction("sleep", timeout_s=1) as db,
    ):
        db.execute("select pg_sleep(3)")


def test_a_wrong_statement_cannot(stack: Settings) -> None:
    with (
        pytest.raises(PermanentFailure, match="syntax error"),
        Postgres(stack, "ledger").transaction("x") as db,
    ):
        db.execute("selekt")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg2://ledger:canary@127.0.0.1:1/ledger",
        "postgresql://ledger:no%canary@127.0.0.1:1/ledger",
        "postgresql://ledger:no@canary@127.0.0.1:1/ledger",
        "host=127.0.0.1 password=no canary",
    ],
)
def test_an_address_that_libpq_cannot_read_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    settings = Settings(ledger_dsn=SecretStr(address))
    with (
        pytest.raises(
            PermanentFailure, match="cannot read the address in DE_STACK_LEDGER_DSN"
        ) as e,
        Postgres(settings, "ledger").transaction("x"),
    ):
        pass
    error: BaseException | None = e.value
    while error is not None:
        assert "canary" not in str(error)
        error = error.__cause__ or error.__context__

"""What of a text may be shown. Belongs here: free text; addresses are `test_local_doctor.py`'s."""

import pytest

from de_stack.masking import secrets_in, without_secrets


@pytest.mark.parametrize(
    "text",
    [
        "could not connect to postgresql://u:canary@h/d?x=1",
        "postgresql://u:a/canary@h",
        'missing "=" after "postgresqll://u:canary@h/d" in connection info string',
        "fe_sendauth with password=canary host=h",
        "password='canary with blanks' host=h",
        '{"sasl_plain_password": "canary"}',
        "AWS_SECRET_ACCESS_KEY: canary",
        "sslpassword = canary",
    ],
)
def test_what_looks_like_a_password_is_not_shown(text: str) -> None:
    assert "canary" not in without_secrets(text)
    assert "***" in without_secrets(text)


def test_what_is_known_to_be_secret_is_not_shown_wherever_it_stands() -> None:
    assert without_secrets("it said canary, twice: canary", ["canary"]) == (
        "it said ***, twice: ***"
    )


def test_other_texts_stay_as_they_are() -> None:
    text = "read http://127.0.0.1:3000/a, partition=3, offset=7, at 2026-05-01T10:00:00 a@b.c"
    assert without_secrets(text, ["", "a"]) == text


def test_passwords_are_found_in_addresses() -> None:
    assert secrets_in("postgresql://u:canary@h:5432/d?sslmode=require") == {"canary"}
    assert secrets_in("host=h user=u password=canary") == {"canary"}
    assert secrets_in("postgresql://u@h/d?passfile=/x") == {"/x"} - {"/x"}

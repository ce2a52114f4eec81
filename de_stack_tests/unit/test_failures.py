"""What a failure says. Belongs here: the texts, and that they survive a trip between processes."""

import pickle
from pathlib import Path

import pytest

from de_stack.contracts import ContractError
from de_stack.failures import Failure, PermanentFailure, TransientFailure


@pytest.mark.parametrize(
    ("kind", "retry"),
    [
        (PermanentFailure, "a retry cannot help"),
        (TransientFailure, "a retry can help"),
        (Failure, "a retry cannot help"),
    ],
)
def test_a_failure_says_what_was_tried_what_came_back_and_whether_to_retry(
    kind: type[Failure], retry: str
) -> None:
    assert str(kind("read x", "nothing")) == f"read x: nothing ({retry})"
    assert str(kind("read x", "nothing", "do y")) == f"read x: nothing ({retry}); fix: do y"
    assert kind.can_retry_help is (retry == "a retry can help")


def test_the_two_kinds_are_told_apart_and_both_are_failures() -> None:
    assert not issubclass(TransientFailure, PermanentFailure)
    assert not issubclass(PermanentFailure, TransientFailure)
    assert issubclass(ContractError, PermanentFailure)


def test_a_contract_error_names_file_field_and_reason() -> None:
    error = ContractError(Path("/c.yaml"), "schema.x", "is odd")
    assert str(error).startswith("read contract /c.yaml: schema.x: is odd (a retry cannot help)")
    assert (error.path, error.where, error.reason) == (Path("/c.yaml"), "schema.x", "is odd")


@pytest.mark.parametrize(
    "failure",
    [
        PermanentFailure("read x", "nothing", "do y"),
        TransientFailure("read x", "nothing"),
        ContractError(Path("/c.yaml"), "schema.x", "is odd"),
    ],
)
def test_a_failure_survives_a_trip_between_processes(failure: Failure) -> None:
    back = pickle.loads(pickle.dumps(failure))
    assert type(back) is type(failure)
    assert str(back) == str(failure)
    assert vars(back) == vars(failure)

"""The session of a process that lives longer than its server keeps one.

Belongs here: sessions. Does not belong here: what is computed with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import session


def ended_by_the_server(old: Any) -> None:
    """As one that was idle for ten minutes."""
    old.client.release_session()
    assert not old.is_stopped, "its client does not know"


def of_a_server_before(old: Any) -> None:
    """As one whose server was killed and has been begun again."""
    old.client._server_session_id = str(uuid4())


@pytest.mark.parametrize("gone", [ended_by_the_server, of_a_server_before])
def test_a_session_that_the_server_does_not_know_is_replaced_by_another_one(
    stack: Settings, gone: Callable[[Any], None]
) -> None:
    give = session(stack)
    gone(give())
    assert give().range(3).count() == 3
    assert give() is give()


def test_a_call_that_finds_its_session_closed_does_not_keep_the_next_from_another(
    stack: Settings,
) -> None:
    give = session(stack)
    old = give()
    of_a_server_before(old)
    with pytest.raises(PySparkException):
        old.range(3).count()
    assert give().range(3).count() == 3
    assert SparkSession.getActiveSession() is give()

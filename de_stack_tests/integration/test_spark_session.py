"""The session of a process that lives longer than its server keeps one.

Belongs here: sessions. Does not belong here: what is computed with them.
"""

from __future__ import annotations

from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import session


def test_a_session_that_the_server_has_ended_is_replaced_by_another_one(stack: Settings) -> None:
    give = session(stack)
    old = give()
    # As the server does by itself with one that was idle for ten minutes.
    old.client.release_session()
    assert not old.is_stopped, "its client does not know"
    assert give().range(3).count() == 3
    assert give() is give()

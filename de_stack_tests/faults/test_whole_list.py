"""After all faults, on the one stack that had them: is every message accounted for?"""

from __future__ import annotations

import pytest

from de_stack.flow import counts
from de_stack.settings import Settings
from de_stack_tests.faults.account import CHECKED, STREAM


def test_after_the_whole_list_each_message_is_silver_a_duplicate_dead_or_held(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not CHECKED:
        pytest.skip("no fault test ran before this one")
    messages = bronze = silver = duplicates = dead = held = published = 0
    for account in CHECKED:
        monkeypatch.setenv("DE_STACK_NAMESPACE", account.settings.namespace)
        # Ports may have moved since.
        account.settings = Settings()
        found = counts.count(account.settings, STREAM)
        assert found.settled, (account.settings.namespace, found)
        messages += account.messages
        bronze += found.bronze
        silver += found.silver
        duplicates += found.duplicates
        dead += found.dead
        held += found.held
        published += found.published
    print(
        f"{len(CHECKED)} streams: {messages} messages = {bronze} in bronze = {silver} in silver "
        f"+ {duplicates} duplicates + {dead} dead + {held} held; {published} in Postgres"
    )
    assert messages == bronze == silver + duplicates + dead + held
    assert silver == published == sum(len(account.sent) for account in CHECKED)

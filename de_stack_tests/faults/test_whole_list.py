"""After all faults, on the one stack that had them: is every message accounted for?"""

from __future__ import annotations

import json

import pytest

from de_stack.flow import counts
from de_stack.settings import Settings
from de_stack_tests.faults.account import STREAM, checked_accounts

pytestmark = pytest.mark.alone
# Who has one of these holds an account; then there is something to ask about, or this test fails.
ACCOUNTED = {"lab", "calm_lab", "account"}


def test_after_the_whole_list_each_message_is_silver_a_duplicate_dead_or_held(
    stack: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    file = checked_accounts(stack.home)
    if not any(ACCOUNTED & set(item.fixturenames) for item in request.session.items):
        pytest.skip("no fault test with an account ran before this one")
    # A stream may have been checked more than once.
    accounts = {a["namespace"]: a for a in map(json.loads, file.read_text().splitlines())}
    assert accounts
    messages = bronze = silver = duplicates = dead = held = published = 0
    for namespace, account in accounts.items():
        monkeypatch.setenv("DE_STACK_NAMESPACE", namespace)
        found = counts.count(Settings(), STREAM)
        assert found.settled, (namespace, found)
        messages += account["messages"]
        bronze += found.bronze
        silver += found.silver
        duplicates += found.duplicates
        dead += found.dead
        held += found.held
        published += found.published
    print(
        f"{len(accounts)} streams: {messages} messages = {bronze} in bronze = {silver} in silver "
        f"+ {duplicates} duplicates + {dead} dead + {held} held; {published} in Postgres"
    )
    assert messages == bronze == silver + duplicates + dead + held
    assert silver == published == sum(account["sent"] for account in accounts.values())

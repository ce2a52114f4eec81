"""A namespace for each test, on the one set of services.

Belongs here: fixtures of more than one module of this folder. Does not belong here: helpers
(`pipeline.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import enter_namespace, session


@pytest.fixture
def settings(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Topics, tables and a lake that only this test knows."""
    return enter_namespace(monkeypatch)


@pytest.fixture
def spark(settings: Settings) -> Callable[[], Any]:
    """What gives the flow its Spark session."""
    return session(settings)

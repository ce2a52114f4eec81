"""A namespace for each test, on the one set of services.

Belongs here: fixtures of more than one module of this folder. Does not belong here: helpers
(`pipeline.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import enter_namespace, session
from de_stack_tests.integration.scenes import Scene, a_scene


@pytest.fixture
def settings(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Topics, tables and a lake that only this test knows."""
    return enter_namespace(monkeypatch)


@pytest.fixture
def spark(settings: Settings) -> Callable[[], Any]:
    """What gives the flow its Spark session."""
    return session(settings)


@pytest.fixture
def scene(stack: Settings, tmp_path: Path) -> Iterator[Scene]:
    """A place for collectors, with empty topics."""
    with a_scene(stack, tmp_path) as made:
        yield made

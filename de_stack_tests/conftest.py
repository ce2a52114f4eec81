"""What all tests share: the mark of each folder, and one set of real services per session.

Belongs here: fixtures that more than one folder uses, the order of all. Does not belong here: data
of one subject.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from de_stack_tests import services
from de_stack_tests.seeds import SEEDS

services.enter_home()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--naive",
        action="store_true",
        help="run fault tests on the naive ways that they name: they have to fail",
    )


def pytest_report_header() -> str:
    """Said first, so that a suite that was killed can be repeated, too."""
    return f"seeds of the fault tests: {', '.join(map(str, SEEDS))} (DE_STACK_TEST_SEED=N: one)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folder is the mark; what starts nothing runs first, what kills comes last."""
    folders = ("unit", "integration", "end_to_end", "faults")
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in folders:
            item.add_marker(folder)
        if "stack" not in getattr(item, "fixturenames", ()):
            item.add_marker("apart")
    order = {folder: place for place, folder in enumerate(folders)}
    items.sort(
        key=lambda item: max((order.get(m.name, -1) for m in item.iter_markers()), default=0)
    )
    # A whole stack, and all of it is killed, its keeper too: last.
    items.sort(key=lambda item: item.path.name == "test_demo.py")


@pytest.fixture(scope="session")
def stack() -> Iterator[object]:
    """Settings of Postgres, Kafka and Spark, started as a user does, on ports of their own."""
    from de_stack.settings import Settings

    if os.environ.get("DE_STACK_TEST_KEEP"):
        services.start()
        yield Settings()
        return
    with services.removed_at_the_end():
        services.start()
        yield Settings()

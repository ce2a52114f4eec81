"""What all tests share: the mark of each folder, and one set of real services per session.

Belongs here: fixtures that more than one folder uses. Does not belong here: data of one subject.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from de_stack_tests.seeds import SEEDS
from de_stack_tests.sessions import close_session

REPOSITORY = Path(__file__).resolve().parent.parent
# Two runs of the suite at once need two homes; a kept stack makes a developer's second run quick.
HOME = Path(os.environ.get("DE_STACK_TEST_HOME") or REPOSITORY / ".de_stack_test").resolve()
KEEP = bool(os.environ.get("DE_STACK_TEST_KEEP"))

# A developer's own stack, profile or exports must neither help nor harm.
for _name in [name for name in os.environ if name.startswith("DE_STACK_")]:
    if _name not in ("DE_STACK_JAR_CACHE", "DE_STACK_REDRAW") and "_TEST_" not in _name:
        del os.environ[_name]
os.environ.pop("DAGSTER_HOME", None)
os.environ["DE_STACK_HOME"] = str(HOME)


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
    order = {folder: place for place, folder in enumerate(folders)}
    items.sort(
        key=lambda item: max((order.get(m.name, -1) for m in item.iter_markers()), default=0)
    )


@pytest.fixture(scope="session")
def stack() -> Iterator[object]:
    """Settings of Postgres, Kafka and Spark, started as a user does, on ports of their own."""
    from de_stack.local import postgres, processes
    from de_stack.local.stack import down, site_of, up
    from de_stack.settings import Settings

    if KEEP:
        up(["postgres", "kafka", "spark"], print)
        yield Settings()
        return
    down(purge=True)
    site = site_of(HOME)
    try:
        up(["postgres", "kafka", "spark"], print)
        yield Settings()
    finally:
        close_session()
        data = postgres.data(site)
        down(purge=True)
        left = processes.of_stack(HOME, data)
    assert not left, f"processes survived `down`: {left}"
    assert not HOME.exists()

"""Seeds of the fault tests, and the lab of each.

Belongs here: how many seeds, saying them, the fixture. Does not belong here: faults.

`make test` takes three seeds, `make chaos` twenty. `DE_STACK_TEST_SEED=N` repeats one. With
`--naive` each test runs on the naive way that it was written against, and has to fail.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from de_stack.settings import Settings
from de_stack_tests.faults import naive
from de_stack_tests.faults.lab import Lab
from de_stack_tests.integration.pipeline import enter_namespace, session
from de_stack_tests.integration.querying import Place, a_place
from de_stack_tests.seeds import SEEDS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", SEEDS, ids=[f"seed {seed}" for seed in SEEDS])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The account of all comes after all; a naive way that nobody puts in force is no twin."""
    for item in items:
        if item.get_closest_marker("naive") and "settings" not in item.fixturenames:
            raise pytest.UsageError(f"{item.nodeid} names a naive way and does not use `settings`")
    items.sort(key=lambda item: item.path.name == "test_whole_list.py")


@pytest.fixture
def rng(seed: int) -> random.Random:
    """The one source of chance of a test; pytest shows what it prints when it fails."""
    print(f"DE_STACK_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def settings(
    stack: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Settings]:
    """A namespace of its own for each test, on the one set of services."""
    settings = enter_namespace(monkeypatch)
    ways = [mark.args[0] for mark in request.node.iter_markers("naive")]
    with naive.applied(ways if request.config.getoption("--naive") else []):
        yield settings


@pytest.fixture
def spark(settings: Settings) -> Callable[[], Any]:
    """What gives the flow its Spark session."""
    return session(settings)


@pytest.fixture
def lab(settings: Settings, rng: random.Random) -> Iterator[Lab]:
    """Sends, runs and kills in a namespace of its own, and knows what must come out."""
    lab = Lab(settings, rng)
    yield lab
    lab.end()


@pytest.fixture
def calm_lab(settings: Settings) -> Iterator[Lab]:
    """A lab for tests in which the processes race, and nothing is left to dice."""
    lab = Lab(settings, random.Random(4))
    yield lab
    lab.end()


@pytest.fixture
def place(settings: Settings, tmp_path: Path) -> Iterator[Place]:
    """A home for hosts of continuous queries, with the naive ways that are in force."""
    made = a_place(settings, tmp_path, settings.namespace)
    made.env["DE_STACK_TEST_NAIVE"] = json.dumps(naive.now())
    yield made
    made.end()

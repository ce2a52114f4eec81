"""The driver of the continuous queries: what the environment says, what is printed at its end.

Belongs here: a driver of its own in a process. Does not belong here: our queries
(`test_continuous_queries.py`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from de_stack_tests.services import REPOSITORY

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Ended:
    """A driver that has ended: what it printed, where its query's checkpoint is."""

    printed: subprocess.CompletedProcess[str]
    checkpoint: Path


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("driver")
    # A client of Connect, and some shells, leave these to the processes that they start.
    connect = {
        "SPARK_REMOTE": "sc://127.0.0.1:1",
        "SPARK_CONNECT_MODE_ENABLED": "1",
        "SPARK_API_MODE": "connect",
    }
    done = subprocess.run(
        [sys.executable, "-m", "de_stack_tests.integration.broken_off", str(folder)],
        env=os.environ | connect,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=200,
    )
    return Ended(done, folder / "checkpoint")


def test_a_batch_that_is_broken_off_is_a_line_and_the_driver_is_no_client_of_a_server(
    driver: Ended,
) -> None:
    done = driver.printed
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "stopped"
    # Of stacks, neither Python's nor Java's.
    assert "Traceback" not in done.stderr
    assert "\n\tat " not in done.stderr
    assert "StackOverflowError" not in done.stderr


def test_a_checkpoint_has_no_file_that_a_kill_can_part_from_its_checksum(driver: Ended) -> None:
    names = files(driver.checkpoint)
    assert "metadata" in names, driver.printed.stderr[-3000:]
    assert not [name for name in names if name.endswith(".crc")]


def test_the_state_of_a_batch_that_comes_again_takes_the_place_of_the_first(driver: Ended) -> None:
    names = files(driver.checkpoint.parent / "twice" / "checkpoint")
    assert {"2.changelog", "2"} <= set(names), driver.printed.stderr[-3000:]
    # Where it does not, Spark leaves it beside the first and says nothing.
    assert not [name for name in names if name.endswith((".tmp", ".crc"))]


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]

"""A run worker that can be killed: a process that materializes what it is told, when it is told.

Belongs here: the process, and the handle that a test has on it. Does not belong here: what is sent,
what must come out (`lab.py`).

Its imports are done before it is told to go, so that a kill at a random moment falls into the work.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

_READY_S, _WORK_S = 120, 150


@dataclass(frozen=True)
class Outcome:
    """How a worker ended: its exit code (negative: the signal), its last words, its seconds."""

    code: int
    said: str
    seconds: float

    @property
    def is_good(self) -> bool:
        return self.code == 0


class Worker:
    """One process, from its start on. Steps: land, derive, tick (all that waits)."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | (environment or {}),
        )
        self._began, self._step = 0.0, "nothing"
        self._is_ready = False

    def ready(self) -> Worker:
        """Wait until it can begin."""
        assert self._process.stdout
        said = ""
        while not self._is_ready:
            line = self._process.stdout.readline()
            said += line
            assert line, f"the worker did not start: {said[-2000:]}"
            self._is_ready = line == "ready\n"
        return self

    def go(self, step: str) -> Worker:
        """Wait until it is ready, and let it begin."""
        self.ready()
        assert self._process.stdin
        self._began, self._step = time.monotonic(), step
        self._process.stdin.write(step + "\n")
        self._process.stdin.flush()
        return self

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, whatever it does."""
        self._process.kill()

    def end(self) -> Outcome:
        """Wait for its end."""
        try:
            said, _ = self._process.communicate(timeout=_WORK_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            said, _ = self._process.communicate()
            said += f"\n... and was not done after {_WORK_S} s"
        done = Outcome(self._process.returncode, said, time.monotonic() - self._began)
        print(f"worker: {self._step} ended with {done.code} after {done.seconds:.1f} s")
        return done


def work(step: str) -> None:
    """Do a step, in this process."""
    from datetime import UTC, datetime

    from de_stack import partitions
    from de_stack.flow.ledger import Ledger
    from de_stack.settings import Settings
    from de_stack_tests.integration.pipeline import CHAIN, materialize

    if step in ("land", "tick"):
        materialize(["bronze_measures"], partitions.floor(datetime.now(UTC), "hour"))
    if step in ("derive", "tick"):
        settings = Settings()
        ids = [settings.names.table_id("telemetry", *name.split("_", 1)) for name in CHAIN]
        sources = [settings.names.table_id("telemetry", "bronze", "measures"), *ids]
        ledger = Ledger(settings)
        hours = {
            h
            for user, source in zip(ids, sources, strict=False)
            for h in ledger.pending(user, source)
        }
        for first, last in partitions.contiguous(hours, "hour"):
            materialize(CHAIN, first, last)


def _main() -> None:
    from de_stack.definitions import defs
    from de_stack.resources.spark import open_session  # noqa: F401
    from de_stack_tests.faults import naive
    from de_stack_tests.integration import pipeline  # noqa: F401

    defs().resolve_implicit_global_asset_job_def()
    import deltalake  # noqa: F401
    import pyspark.sql.connect.session  # noqa: F401

    print("ready", flush=True)  # noqa: T201
    step = sys.stdin.readline().strip()
    with naive.applied(json.loads(os.environ.get("DE_STACK_TEST_NAIVE", "[]"))):
        work(step)


if __name__ == "__main__":
    _main()

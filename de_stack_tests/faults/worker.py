"""A run worker that can be killed: a process that materializes what it is told, when it is told.

Belongs here: the process, and the handle that a test has on it. Does not belong here: what is sent,
what must come out (`lab.py`).

It is forked from a server that has imported everything: a kill at a random moment falls into the
work, and a worker costs no four seconds of a core, which the services would miss.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

_READY_S, _WORK_S, _LOOK_S = 120, 150, 0.1
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "dagster_pyspark",
        "de_stack.definitions",
        "de_stack.resources.spark",
        "de_stack_tests.faults.naive",
        "de_stack_tests.integration.pipeline",
        "deltalake",
        "pyspark.sql.connect.session",
    ]
)


@dataclass(frozen=True)
class Outcome:
    """How a worker ended: its exit code (negative: the signal), its last words, its seconds.

    `silent` is the longest time in seconds, after somebody began to wait for it, without a word.
    """

    code: int
    said: str
    seconds: float
    silent: float

    @property
    def is_good(self) -> bool:
        return self.code == 0


class Worker:
    """One process, from its start on. Steps: land, derive, tick (all that waits)."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        descriptor, name = tempfile.mkstemp(prefix="worker", suffix=".log")
        os.close(descriptor)
        self._said = Path(name)
        self._ours, theirs = _FORKS.Pipe()
        self._process = _FORKS.Process(
            target=_main, args=(theirs, os.environ | (environment or {}), name), daemon=True
        )
        self._process.start()
        theirs.close()
        self._began, self._step = 0.0, "nothing"
        self._is_ready = False

    def ready(self) -> Worker:
        """Wait until it can begin."""
        if not self._is_ready:
            with contextlib.suppress(EOFError):
                self._is_ready = self._ours.poll(_READY_S) and self._ours.recv() == "ready"
            assert self._is_ready, f"the worker did not start: {self._said.read_text()[-2000:]}"
        return self

    def go(self, step: str) -> Worker:
        """Wait until it is ready, and let it begin."""
        self.ready()
        self._began, self._step = time.monotonic(), step
        self._ours.send(step)
        return self

    @property
    def lives(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        """SIGKILL, whatever it does."""
        self._process.kill()

    def end(self) -> Outcome:
        """Wait for its end."""
        silent = self._wait()
        late = self._process.is_alive()
        if late:
            self._process.kill()
            self._process.join()
        said = self._said.read_text(errors="replace")
        if late:
            said += f"\n... and was not done after {_WORK_S} s"
        self._said.unlink()
        self._ours.close()
        code = self._process.exitcode
        assert code is not None
        done = Outcome(code, said, time.monotonic() - self._began, silent)
        if self._began:
            print(
                f"worker: {self._step} ended with {done.code} after {done.seconds:.1f} s, "
                f"silent for {silent:.1f} s at most"
            )
        return done

    def _wait(self) -> float:
        began = heard = time.monotonic()
        silent, size = 0.0, -1
        while self._process.is_alive() and time.monotonic() - began < _WORK_S:
            self._process.join(_LOOK_S)
            if (now := self._said.stat().st_size) != size:
                size, heard = now, time.monotonic()
            silent = max(silent, time.monotonic() - heard)
        return silent


def work(step: str) -> None:
    """Do a step, in this process."""
    from de_stack import partitions
    from de_stack.flow.ledger import Ledger
    from de_stack.settings import Settings
    from de_stack_tests.integration.pipeline import CHAIN, materialize, this_hour

    if step in ("land", "tick"):
        materialize(["bronze_measures"], this_hour())
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


def _main(pipe: Connection, environment: dict[str, str], log: str) -> None:
    """The process: of this environment, with its output in a file."""
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)

    from de_stack.definitions import defs
    from de_stack_tests.faults import naive

    defs().resolve_implicit_global_asset_job_def()
    pipe.send("ready")
    step = pipe.recv()
    with naive.applied(json.loads(os.environ.get("DE_STACK_TEST_NAIVE", "[]"))):
        work(step)

"""Several streams in one process, a thread each, until told to stop.

Belongs here: signals, threads, and that none of them ends unnoticed. Does not belong here: what one
stream does (`job.py`, `run.py`).
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from de_stack.sources.generator.counts import Counts
from de_stack.sources.generator.job import Job
from de_stack.sources.generator.run import World
from de_stack.sources.generator.summary import Summary

log = logging.getLogger(__name__)
Report = Callable[[Counts, float], None]
REPORT_S = 60.0


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; a second signal ends the process as ever."""
    stop = threading.Event()
    before = {int(n): signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}

    def told(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, told)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def world_until(stop: threading.Event) -> World:
    """The clock on the wall, and a wish to stop."""

    def sleep(seconds: float) -> None:
        # A signal ends a wait; the retries after it must still wait.
        if stop.is_set():
            time.sleep(min(seconds, 0.5))
        else:
            stop.wait(seconds)

    return World(lambda: datetime.now(UTC), time.monotonic, sleep, stop.is_set)


def run_all(
    jobs: Sequence[Job], stop: threading.Event, report_for: Callable[[Job], Report]
) -> list[Summary]:
    """Run all, each in a thread of its own, to their end.

    Where one fails, all are told to stop and its failure is raised: a process that lives on without
    one of its streams would look healthy.

    Raises:
        Failure: of the first stream that failed; the others have delivered what they had made.
    """
    failures: list[BaseException] = []
    summaries: dict[int, Summary] = {}

    def run(number: int, job: Job) -> None:
        begun = time.monotonic()
        try:
            job.run(world_until(stop), report_for(job))
        except BaseException as error:  # noqa: BLE001 - raised below, by the thread that is asked
            failures.append(error)
            stop.set()
        summaries[number] = Summary(job.counts, time.monotonic() - begun, job.told)

    threads = [
        threading.Thread(target=run, args=(number, job), name=job.counts.stream, daemon=True)
        for number, job in enumerate(jobs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        # With a timeout: a wait without one keeps signals from this, the main, thread.
        while thread.is_alive():
            thread.join(0.2)
    if failures:
        for summary in summaries.values():
            log.info("done", extra=summary.plain())
        raise failures[0]
    return [summaries[number] for number in range(len(jobs))]


def log_report(every_s: float = REPORT_S) -> Report:
    """A report that logs a line once in a while."""
    said: list[tuple[float, int]] = []

    def report(counts: Counts, at: float) -> None:
        if not said:
            said.append((at, counts.sent))
        since, before = said[0]
        if at - since >= every_s:
            rate = round((counts.sent - before) / (at - since), 1)
            told = {"stream": counts.stream, "total": counts.sent, "rate": rate}
            log.info("sent", extra=told | ({"refused": counts.refused} if counts.refused else {}))
            said[0] = (at, counts.sent)

    return report

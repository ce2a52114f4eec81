"""`make test`: all tests, on one set of services, as far as possible side by side.

Belongs here: what runs beside what. Does not belong here: tests, the services.

First, on two processes, what disturbs nobody; then what does not know the services (`apart`); then
what kills or restarts them (`alone`), with nothing beside it: whether a run hangs on a service that
is gone is judged by the clock, and a cold Spark that has to share two cores with another stack
looks the same. With arguments, e.g. a file: one plain pytest with them; options for all the
processes go into `PYTEST_ADDOPTS`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

from de_stack_tests import services
from de_stack_tests.seeds import SEEDS

# A process that has nothing left takes tests of the other: modules need not be equally long.
SIDE_BY_SIDE = ("-n", "2", "--dist", "worksteal")


def pytest(*arguments: str) -> subprocess.Popen[bytes]:
    """A pytest of its own."""
    return subprocess.Popen([sys.executable, "-m", "pytest", *arguments])


def exit_code(process: subprocess.Popen[bytes]) -> int:
    """Of a process that has ended by itself, also after Ctrl-C, which it is given as well."""
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long it took."""
    began = time.monotonic()
    yield
    print(f"=== {what}: {time.monotonic() - began:.0f} s", flush=True)


def run_all() -> list[int]:
    """Exit codes of the passes."""
    # All processes have to collect the same tests, and what is kept must not end with the first.
    os.environ["DE_STACK_TEST_SEED"] = ",".join(map(str, SEEDS))
    is_kept = bool(os.environ.get("DE_STACK_TEST_KEEP"))
    os.environ["DE_STACK_TEST_KEEP"] = "1"
    services.enter_home()
    with (
        nullcontext() if is_kept else services.removed_at_the_end(),
        ThreadPoolExecutor() as beside,
    ):
        with timed("what disturbs nobody, on two processes"):
            # They come up while unit tests run; who needs them waits.
            up = beside.submit(services.start)
            shared = exit_code(pytest(*SIDE_BY_SIDE, "-m", "unit or not (alone or apart)"))
            up.result()
        with timed("what does not know the services"):
            apart = exit_code(pytest("-m", "apart and not (unit or alone)"))
        with timed("what kills the services"):
            return [shared, apart, exit_code(pytest("-m", "alone"))]


def main(arguments: list[str]) -> int:
    """Exit code: 0 if all passed, and none was killed: the code is negative then."""
    if arguments:
        return pytest(*arguments).wait()
    with timed("all tests"):
        codes = run_all()
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make test`: all tests, on one set of services, as far as possible side by side.

Belongs here: what runs beside what. Does not belong here: tests, the services.

First, on two processes, what disturbs nobody; then what kills or restarts the services (`alone`),
and beside it what does not know them (`apart`). With arguments, e.g. a file: one plain pytest with
them; options for all the processes go into `PYTEST_ADDOPTS`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import IO

from de_stack_tests import services
from de_stack_tests.seeds import SEEDS

# A process that has nothing left takes tests of the other: modules need not be equally long.
SIDE_BY_SIDE = ("-n", "2", "--dist", "worksteal")


def pytest(*arguments: str, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """A pytest of its own."""
    return subprocess.Popen([sys.executable, "-m", "pytest", *arguments], stdout=output)


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
        with timed("what kills the services, and what does not know them"), said_later() as later:
            apart = pytest("-m", "apart and not (unit or alone)", output=later)
            alone = pytest("-m", "alone")
            return [shared, exit_code(alone), exit_code(apart)]


@contextmanager
def said_later() -> Iterator[IO[bytes]]:
    """A file for what would be mixed up on the screen; it is printed at the end."""
    with tempfile.TemporaryFile() as file:
        try:
            yield file
        finally:
            file.seek(0)
            sys.stdout.write(file.read().decode(errors="replace"))


def main(arguments: list[str]) -> int:
    """Exit code: 0 if all passed, and none was killed: the code is negative then."""
    if arguments:
        return pytest(*arguments).wait()
    with timed("all tests"):
        codes = run_all()
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

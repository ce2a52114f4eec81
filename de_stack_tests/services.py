"""The one set of real services that all tests of a run share.

Belongs here: where its home is, its start, its proven end. Does not belong here: the life of other
stacks (tests of `local` start their own), namespaces (`integration/pipeline.py`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from de_stack_tests.sessions import close_session

REPOSITORY = Path(__file__).resolve().parent.parent
# Two runs of the suite at once need two homes; a kept stack makes a developer's second run quick.
HOME = Path(os.environ.get("DE_STACK_TEST_HOME") or REPOSITORY / ".de_stack_test").resolve()
NAMES = ("postgres", "kafka", "spark")
# Of the 33 s of CPU of a Spark that starts and runs its first batches, the compiler for code that
# runs for long takes 13: what lives for a minute does without it.
_JAVA = "-XX:TieredStopAtLevel=1"


def enter_home() -> None:
    """A developer's own stack, profile or exports must neither help nor harm."""
    for name in [name for name in os.environ if name.startswith("DE_STACK_")]:
        if name not in ("DE_STACK_JAR_CACHE", "DE_STACK_REDRAW") and "_TEST_" not in name:
            del os.environ[name]
    os.environ.pop("DAGSTER_HOME", None)
    os.environ["DE_STACK_HOME"] = str(HOME)
    given = os.environ.get("JAVA_TOOL_OPTIONS", "")
    if _JAVA not in given:
        os.environ["JAVA_TOOL_OPTIONS"] = f"{given} {_JAVA}".strip()


def start() -> None:
    """Start them as a user does, on ports of their own; what runs already is left alone."""
    from de_stack.local.stack import up

    # They live for as long as all tests run: with half a compiler Spark took twice the CPU.
    short = os.environ["JAVA_TOOL_OPTIONS"]
    os.environ["JAVA_TOOL_OPTIONS"] = short.replace(_JAVA, "")
    try:
        up(NAMES, print)
    finally:
        os.environ["JAVA_TOOL_OPTIONS"] = short


@contextlib.contextmanager
def removed_at_the_end() -> Iterator[None]:
    """Nothing of an earlier run is there before, and no process and no file is left after."""
    from de_stack.local import postgres, processes
    from de_stack.local.stack import down, site_of

    down(purge=True)
    data = postgres.data(site_of(HOME))
    try:
        yield
    finally:
        close_session()
        down(purge=True)
        left = processes.of_stack(HOME, data)
    assert not left, f"processes survived `down`: {left}"
    assert not HOME.exists()

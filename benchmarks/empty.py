"""A minute of ticks with nothing to do: no run, no JVM, and the processor time that it takes.

Belongs here: the cost of waiting. Does not belong here: work.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

INTERVAL_SECONDS = 5
WATCHED_SECONDS = 60


def run(rounds: int) -> None:  # noqa: ARG001 - one long look says more than several short ones
    os.environ["DE_STACK_SENSOR_INTERVAL_SECONDS"] = str(INTERVAL_SECONDS)
    import dagster as dg

    from de_stack.local import stack
    from de_stack.local.status import rows

    try:
        stack.up(["postgres", "kafka", "code_server", "daemon"])
        home = Path(os.environ["DE_STACK_HOME"])
        os.environ["DAGSTER_HOME"] = str(home / "dagster")
        time.sleep(15)
        pids = {r.name: r.pid for r in rows(home) if r.pid}
        before = {n: cpu(p) for n, p in pids.items()}
        javas = jvms(home)
        began = time.time()
        time.sleep(WATCHED_SECONDS)
        with dg.DagsterInstance.get() as instance:
            runs = instance.get_runs_count()
            ticks = [
                tick
                for state in instance.all_instigator_state()
                for tick in instance.get_ticks(
                    state.instigator_origin_id, state.selector_id, after=began
                )
            ]
        skipped = sum(t.status.value == "SKIPPED" for t in ticks)
        print(f"{len(ticks)} ticks in {WATCHED_SECONDS} s, {skipped} of them skipped, {runs} runs")
        print(f"JVMs started: {len(jvms(home) - javas)}")
        for name in ("daemon", "code_server", "postgres", "kafka"):
            used = cpu(pids[name]) - before[name]
            print(f"{name:<12} {used / WATCHED_SECONDS * 100:.0f} % of one core")
    finally:
        stack.down(purge=True)


def jvms(home: Path) -> set[int]:
    """Pids of the stack's Javas: another stack on this machine is not our matter."""
    import psutil

    from de_stack.local import postgres, processes, stack

    found = processes.of_stack(home, postgres.data(stack.site_of(home)))
    return {pid for pid in found if "java" in psutil.Process(pid).name()}


def cpu(pid: int) -> float:
    import psutil

    root = psutil.Process(pid)
    return sum(sum(p.cpu_times()[:2]) for p in (root, *root.children(recursive=True)))

"""The whole stack from a fresh data folder with cached jars: seconds and memory per service.

Belongs here: start-up of the services. Does not belong here: work.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path


def run(rounds: int) -> None:
    from de_stack.local import stack
    from de_stack.local.status import rows

    home = Path(os.environ["DE_STACK_HOME"])
    seconds: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    for _ in range(rounds):
        stack.down(purge=True)
        began = time.perf_counter()
        took = stack.up()
        took["all"] = time.perf_counter() - began
        time.sleep(5)  # what start-up itself took is given back by then
        for name, value in took.items():
            seconds.setdefault(name, []).append(value)
        found = rows(home)
        for row in found:
            memory.setdefault(row.name, []).append(row.pss_bytes / 2**20)
        memory.setdefault("all", []).append(sum(r.pss_bytes for r in found) / 2**20)
    stack.down(purge=True)
    print(f"{'service':<12} {'ready after s':>14} {'PSS MiB':>9}   median of {rounds}")
    for name, values in seconds.items():
        pss = statistics.median(memory[name])
        print(f"{name:<12} {statistics.median(values):>14.1f} {pss:>9.0f}")

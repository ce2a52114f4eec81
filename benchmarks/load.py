"""Code location load against bare `import dagster`, fresh interpreters, alternating.

Belongs here: start-up cost. Does not belong here: anything that needs a service.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

BARE = "import dagster"
LOCATION = "import de_stack.definitions as d; d.defs().resolve_asset_graph()"


def run(rounds: int) -> None:
    once(LOCATION)  # makes the dbt manifest and the byte code
    once(BARE)
    pairs = [(once(BARE), once(LOCATION)) for _ in range(max(rounds, 5))]
    bare, location = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"import dagster {bare:.2f} s, location {location:.2f} s, ratio {ratio:.2f} (limit 1.5)")


def once(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True)
    return time.perf_counter() - began

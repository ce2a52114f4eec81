"""Runs benchmarks by name and prints what they measured.

Belongs here: the list of benchmarks, the home, the header. Does not belong here: a workload.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

NAMES = ("load", "up", "tick", "empty", "generate", "landing", "averages")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="all when none is named")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for name in [n for n in os.environ if n.startswith("DE_STACK_") and n != "DE_STACK_JAR_CACHE"]:
        del os.environ[name]
    os.environ.pop("DAGSTER_HOME", None)

    packages = (
        *("dagster", "pyspark", "deltalake", "kafka-python", "confluent-kafka"),
        *("msgspec", "pyarrow", "duckdb"),
    )
    known = ", ".join(f"{p} {v}" for p in packages if (v := _version(p)))
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load}; {known}\n")
    with tempfile.TemporaryDirectory(prefix="de_stack_bench_") as folder:
        # Postgres must be able to enter when it runs as another user.
        Path(folder).chmod(0o755)
        os.environ["DE_STACK_HOME"] = str(Path(folder) / "home")
        from de_stack.cli.environment import setup

        setup()
        for name in arguments.names or NAMES:
            module = __import__(f"benchmarks.{name}", fromlist=["run"])
            print(f"## {name}: {module.__doc__.splitlines()[0]}\n", flush=True)
            module.run(arguments.rounds)
            print(flush=True)
    return 0


def _version(package: str) -> str | None:
    try:
        return version(package)
    except Exception:  # noqa: BLE001 - a header without it is still a header
        return None


if __name__ == "__main__":
    sys.exit(main())

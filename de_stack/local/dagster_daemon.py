"""Dagster's daemon, begun when its pools have their limits.

Belongs here: that program. Does not belong here: the service (`daemon.py`), who uses which pool.

Dagster gives a pool its default limit while it looks at the first runs of it, and lets these go
without one: two domains landed at once on a cold Spark server, and of two dbt runs one failed.
"""

from __future__ import annotations

import dagster as dg

POOLS = ("duckdb", "spark")


def limit_pools(instance: dg.DagsterInstance) -> None:
    """Give each pool the limit that `dagster.yaml` names; one that a person has set stays."""
    storage = instance.event_log_storage
    for pool in set(POOLS) - storage.get_concurrency_keys():
        storage.initialize_concurrency_limit_to_default(pool)


def main() -> None:
    """Set limits, then be the daemon."""
    from dagster._daemon.cli import main as run

    with dg.DagsterInstance.get() as instance:
        limit_pools(instance)
    run()


if __name__ == "__main__":
    main()

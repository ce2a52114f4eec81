"""The asset graph of a domain as plain data, for snapshots.

Belongs here: what of the graph a snapshot shows. Does not belong here: loading definitions,
comparing.
"""

from typing import Any

import dagster as dg


def drawn(location: dg.Definitions, domain: str) -> dict[str, Any]:
    """Assets with what they read, checks, sensors and schedules of one domain, each in order."""
    graph = location.resolve_asset_graph()
    return {
        "assets": {
            key.to_user_string(): {
                "reads": sorted(k.to_user_string() for k in graph.get(key).parent_keys),
                "kinds": sorted(graph.get(key).kinds),
                "partitioned": graph.get(key).partitions_def is not None,
            }
            for key in sorted(graph.get_all_asset_keys())
            if key.path[0] == domain
        },
        "checks": sorted(
            f"{k.asset_key.to_user_string()}: {k.name}"
            for k in graph.asset_check_keys
            if k.asset_key.path[0] == domain
        ),
        "sensors": _of(domain, (s.name for s in location.sensors or [])),
        "schedules": _of(domain, (s.name for s in location.schedules or [])),
    }


def _of(domain: str, names: Any) -> list[str]:
    return sorted(name for name in names if name.startswith(f"{domain}__"))

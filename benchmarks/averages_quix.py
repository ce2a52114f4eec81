"""The Python peer of averages: quixstreams, in an environment of its own.

Belongs here: the same windows by its own means. Does not belong here: our packages, which are not
there (`requirements/quixstreams.lock`).

Run as `python -m benchmarks.averages_quix BOOTSTRAP TOPIC RESULTS COUNT STATE`. It judges lateness
per key, not per query: a window takes no trade once a trade of its stock is 30 s past its end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime
from typing import Any


def _moment(value: Any, headers: Any, timestamp: float, kind: Any) -> int:  # noqa: ARG001
    return int(datetime.fromisoformat(value["event_time"]).timestamp() * 1000)


def main() -> None:
    from quixstreams import Application  # type: ignore[import-not-found]
    from quixstreams.dataframe.windows import aggregations  # type: ignore[import-not-found]

    bootstrap, source, target, count, state = sys.argv[1:]
    late, left = 0, int(count)

    def on_late(*_: Any) -> bool:
        nonlocal late
        late += 1
        return False

    def on_done(*_: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            app.stop()

    app = Application(
        bootstrap,
        consumer_group=f"quix-{os.getpid()}",
        auto_offset_reset="earliest",
        state_dir=state,
        loglevel="ERROR",
        on_message_processed=on_done,
    )
    ticks = app.topic(source, value_deserializer="json", timestamp_extractor=_moment)
    frame = (
        app.dataframe(ticks)
        .hopping_window(60_000, 10_000, grace_ms=30_000, on_late=on_late)
        .agg(
            average=aggregations.Mean("price"),
            lowest=aggregations.Min("price"),
            highest=aggregations.Max("price"),
            rows=aggregations.Count(),
        )
        .final(closing_strategy="key")
    )
    frame.to_topic(app.topic(target, value_serializer="json"))
    used, began = os.times(), time.perf_counter()
    app.run()
    took, now = time.perf_counter() - began, os.times()
    spent = now.user + now.system - used.user - used.system
    print(json.dumps({"seconds": took, "cpu": spent, "late": late}))


if __name__ == "__main__":
    main()

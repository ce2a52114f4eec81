"""The host's `/metrics`: its queries in Prometheus' text form, on loopback.

Belongs here: names of the metrics, the server. Does not belong here: figures (`progress.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from de_stack.failures import PermanentFailure
from de_stack.streaming import progress
from de_stack.streaming.hosted import Hosted

_PREFIX = "de_stack_query"
_GAUGES: tuple[tuple[str, str, Callable[[Any], float | None]], ...] = (
    ("batch_id", "Number of the last batch.", lambda m: m.batch_id),
    ("state_rows", "Rows of state, windows that are open among them.", lambda m: m.state_rows),
    ("lag_rows", "Messages that waited when the last batch was planned.", lambda m: m.lag_rows),
    ("batch_input_rows", "Messages of the last batch.", lambda m: m.input_rows),
    ("batch_seconds", "How long the last batch took.", lambda m: m.duration_ms / 1000),
    (
        "batch_dropped_rows",
        "Groups of rows, by key and closed window, that the last batch left out.",
        lambda m: m.dropped_rows,
    ),
)
_COUNTERS: tuple[tuple[str, str, Callable[[Hosted], int]], ...] = (
    ("input_rows", "Messages read by this process.", lambda h: h.input_rows),
    (
        "dropped_rows",
        "Groups of rows, by key and closed window, left out.",
        lambda h: h.dropped_rows,
    ),
    ("restarts", "Starts after a failure.", lambda h: h.restarts),
)


class Page:
    """Reads what the host has seen when it is asked for."""

    def __init__(self, hosted: Mapping[str, Hosted]) -> None:
        self._hosted = hosted

    def collect(self) -> Iterator[Any]:
        """What prometheus_client asks of a collector."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        up = GaugeMetricFamily(f"{_PREFIX}_up", "1 while the query runs.", labels=["query"])
        behind = GaugeMetricFamily(
            f"{_PREFIX}_watermark_seconds", "Watermark, seconds since 1970.", labels=["query"]
        )
        for name, hosted in self._hosted.items():
            up.add_metric([name], float(hosted.state == "running"))
            if hosted.last and (moment := progress.watermark(hosted.last)):
                behind.add_metric([name], _seconds(moment))
        yield from (up, behind)
        for name, text, value in _GAUGES:
            family = GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=["query"])
            for query, hosted in self._hosted.items():
                number = value(progress.measured(hosted.last)) if hosted.last else None
                if number is not None:
                    family.add_metric([query], number)
            yield family
        for name, text, count in _COUNTERS:
            family = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=["query"])
            for query, hosted in self._hosted.items():
                family.add_metric([query], count(hosted))
            yield family


def _seconds(moment: datetime) -> float:
    return moment.timestamp()


def serve(port: int, hosted: Mapping[str, Hosted]) -> str:
    """Serve `/metrics` on 127.0.0.1 in the background; its address. Port 0 takes a free one.

    Raises:
        PermanentFailure: the port is taken.
    """
    import prometheus_client as prometheus

    registry = prometheus.CollectorRegistry()
    registry.register(Page(hosted))  # type: ignore[arg-type]
    try:
        server, _ = prometheus.start_http_server(port, "127.0.0.1", registry)
    except (OSError, OverflowError) as error:
        tried = f"serve /metrics at 127.0.0.1:{port}"
        raise PermanentFailure(tried, str(error), "give another --metrics-port") from error
    return f"http://127.0.0.1:{server.server_port}/metrics"

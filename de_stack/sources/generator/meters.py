"""The generator's `/metrics`: its counts in Prometheus' text form, on loopback.

Belongs here: names of the metrics, the server. Does not belong here: counting (`counts.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from de_stack.failures import PermanentFailure
from de_stack.sources.generator.counts import Counts

_PREFIX = "de_stack_generator"
_COUNTERS = (
    ("made", "made", "Events made, duplicates not among them."),
    ("sent", "sent", "Events that the sink has taken, duplicates among them."),
    ("refused", "refused", "Events that the sink will never take."),
    ("retried", "retried", "Events that were sent again."),
    ("skipped", "skipped", "Events that fell due while the sink was away and were not made."),
    ("undelivered", "undelivered", "Events made and given up."),
    ("sent_bytes", "bytes", "Bytes of messages that were sent or refused."),
)


class Page:
    """Reads the counts when it is asked for: the loop itself only adds up."""

    def __init__(self, counts: Sequence[Counts], monotonic: Callable[[], float]) -> None:
        self._counts, self._monotonic = counts, monotonic

    def collect(self) -> Iterator[Any]:
        """What prometheus_client asks of a collector."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for name, attribute, text in _COUNTERS:
            family = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=["stream"])
            for counts in self._counts:
                family.add_metric([counts.stream], getattr(counts, attribute))
            yield family
        text = "Events that are wrong on purpose; `form` tells malformed ones apart."
        family = CounterMetricFamily(f"{_PREFIX}_faults", text, labels=["stream", "kind", "form"])
        for counts in self._counts:
            for kind, number in counts.faults.items():
                if kind != "malformed":
                    family.add_metric([counts.stream, kind, ""], number)
            for form, number in counts.forms.items():
                family.add_metric([counts.stream, "malformed", form], number)
        yield family
        now = self._monotonic()
        for name, text, value in (
            ("rate_per_second", "Events settled per second, over 10 s.", lambda c: c.rate(now)),
            ("target_rate_per_second", "Events per second as asked for.", lambda c: c.target_rate),
            ("lag_seconds", "How long the oldest event that is due has waited.", lambda c: c.lag),
            ("running", "1 while the stream is made.", lambda c: float(c.is_running)),
        ):
            family = GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=["stream"])
            for counts in self._counts:
                family.add_metric([counts.stream], value(counts))
            yield family


def serve(port: int, counts: Sequence[Counts], monotonic: Callable[[], float]) -> str:
    """Serve `/metrics` on 127.0.0.1 in the background; its address. Port 0 takes a free one.

    Raises:
        PermanentFailure: the port is taken.
    """
    import prometheus_client as prometheus

    registry = prometheus.CollectorRegistry()
    registry.register(Page(counts, monotonic))  # type: ignore[arg-type]
    try:
        server, _ = prometheus.start_http_server(port, "127.0.0.1", registry)
    except (OSError, OverflowError) as error:
        tried = f"serve /metrics at 127.0.0.1:{port}"
        raise PermanentFailure(tried, str(error), "give another --metrics-port") from error
    return f"http://127.0.0.1:{server.server_port}/metrics"

"""What the collector counts, for Prometheus and for `accepted_total`.

Belongs here: the metrics and the files that they live in. Does not belong here: when to count.

The client library decides at its first import whether it counts in memory or in files, by an
environment variable: so it is imported here only, after the variable is set.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from de_stack.resources.accepted import ACCEPTED, KEPT, metrics_folder


class Meters:
    """The counters of one collector process; they add to those of the lives before it.

    The label `stream` is the stream's topic: the same stream of another namespace counts apart.
    """

    def __init__(self, home: Path, in_flight: Callable[[], int]) -> None:
        folder = metrics_folder(home)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        import prometheus_client as prometheus
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = prometheus.CollectorRegistry()
        self._accepted = prometheus.Counter(
            ACCEPTED, "Events that Kafka has acknowledged.", ["stream"], registry=None
        )
        self._rejected = prometheus.Counter(
            "de_stack_collector_rejected", "Events refused.", ["stream", "code"], registry=None
        )
        self._kept = prometheus.Counter(
            KEPT, "Refused events that Kafka has as dead letters.", ["stream"], registry=None
        )
        self._answers = prometheus.Counter(
            "de_stack_collector_answers", "Answers by HTTP status.", ["status"], registry=None
        )
        self._in_flight = in_flight
        MultiProcessCollector(registry, str(folder))
        self._registry = registry
        self._prometheus = prometheus

    def accepted(self, topic: str, events: int) -> None:
        """Kafka has acknowledged them; to be called before the client hears of it."""
        if events:
            self._accepted.labels(topic).inc(events)

    def kept(self, topic: str, events: int) -> None:
        """They were refused, and Kafka has acknowledged them as dead letters."""
        if events:
            self._kept.labels(topic).inc(events)

    def rejected(self, topic: str, code: str) -> None:
        """One event was refused."""
        self._rejected.labels(topic, code).inc()

    def answered(self, status: int) -> None:
        """One request was answered."""
        self._answers.labels(str(status)).inc()

    def page(self) -> tuple[bytes, str]:
        """The `/metrics` page and its content type."""
        # A gauge of this process only: it must not be added up with the lives before it.
        gauge = (
            "# HELP de_stack_collector_in_flight_bytes Bytes received and not yet settled.\n"
            "# TYPE de_stack_collector_in_flight_bytes gauge\n"
            f"de_stack_collector_in_flight_bytes {self._in_flight()}\n"
        )
        page = self._prometheus.generate_latest(self._registry)
        return page + gauge.encode(), self._prometheus.CONTENT_TYPE_LATEST

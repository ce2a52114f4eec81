"""How many events the collector has accepted, and refused and kept, over all its lives.

Belongs here: names and place of these numbers, reading them without a server. Does not belong
here: counting (`collector/meters.py`).

A number lives in memory-mapped files, one per process that ever was a collector here: a `kill -9`
loses nothing of it, a power cut may lose the last seconds. It is kept for each topic, so that the
namespaces of one home have numbers of their own; without a namespace a topic is called as its
stream is.
"""

from __future__ import annotations

from pathlib import Path

ACCEPTED = "de_stack_collector_accepted"
KEPT = "de_stack_collector_kept"


def metrics_folder(home: Path) -> Path:
    """Folder of the collector's counters."""
    return home / "collector" / "metrics"


def accepted_total(home: Path, topic: str) -> int:
    """Events for `topic` that were answered with "accepted"; 0 where no collector ever ran."""
    return _total(home, topic, ACCEPTED)


def kept_total(home: Path, topic: str) -> int:
    """Events that were refused and are in `topic` as dead letters."""
    return _total(home, topic, KEPT)


def _total(home: Path, topic: str, name: str) -> int:
    from prometheus_client.multiprocess import MultiProcessCollector

    # A file of no bytes belongs to a process that has not counted anything yet.
    files = [str(p) for p in metrics_folder(home).glob("counter_*.db") if p.stat().st_size]
    return sum(
        int(sample.value)
        for metric in MultiProcessCollector.merge(files, accumulate=True)
        for sample in metric.samples
        if sample.name == f"{name}_total" and sample.labels.get("stream") == topic
    )

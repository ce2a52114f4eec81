"""The number of accepted events, read without a server."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from de_stack.naming import Names
from de_stack.resources.accepted import ACCEPTED, accepted_total, metrics_folder


def test_where_no_collector_ever_ran_nothing_was_accepted(tmp_path: Path) -> None:
    assert accepted_total(tmp_path, "telemetry.measures") == 0


def test_a_collector_that_just_started_does_not_disturb_the_number(tmp_path: Path) -> None:
    metrics_folder(tmp_path).mkdir(parents=True)
    (metrics_folder(tmp_path) / "counter_1.db").touch()
    assert accepted_total(tmp_path, "telemetry.measures") == 0


def test_each_namespace_has_a_number_of_its_own_and_the_default_one_keeps_what_it_had(
    tmp_path: Path,
) -> None:
    metrics_folder(tmp_path).mkdir(parents=True)
    # As a collector wrote it before namespaces had numbers of their own: the stream's name.
    for pid, stream, events in ((1, "telemetry.measures", 5), (2, "alice.telemetry.measures", 3)):
        file = MmapedDict(str(metrics_folder(tmp_path) / f"counter_{pid}.db"))
        key = mmap_key(ACCEPTED, f"{ACCEPTED}_total", ["stream"], [stream], "help")
        file.write_value(key, events, 0)
        file.close()
    for namespace, events in (("", 5), ("alice", 3), ("bob", 0)):
        topic = Names(namespace).topic("telemetry", "measures")
        assert accepted_total(tmp_path, topic) == events

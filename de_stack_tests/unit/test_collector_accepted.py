"""The number of accepted events, read without a server."""

from __future__ import annotations

from pathlib import Path

from de_stack.sources.accepted import accepted_total, metrics_folder


def test_where_no_collector_ever_ran_nothing_was_accepted(tmp_path: Path) -> None:
    assert accepted_total(tmp_path, "telemetry.measures") == 0


def test_a_collector_that_just_started_does_not_disturb_the_number(tmp_path: Path) -> None:
    metrics_folder(tmp_path).mkdir(parents=True)
    (metrics_folder(tmp_path) / "counter_1.db").touch()
    assert accepted_total(tmp_path, "telemetry.measures") == 0

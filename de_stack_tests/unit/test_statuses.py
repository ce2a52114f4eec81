"""Whose word on a query counts, of several hosts.

Belongs here: the files of one home. Does not belong here: hosts (`test_continuous_queries.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from de_stack.streaming.statuses import Statuses

NAME = "stocks.averages"


@contextmanager
def another(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is said here is said by a process that ends with it."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        patch.setattr(os, "getpid", lambda: process.pid)
        yield
        patch.undo()
        process.kill()


def test_who_has_a_query_says_how_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = Statuses(tmp_path)
    with another(monkeypatch):
        statuses.tell(NAME, {"state": "running", "batch_id": 7}, has_it=True)
        monkeypatch.undo()
        statuses.tell(NAME, {"state": "retrying"}, has_it=False)
        assert statuses.all()[NAME]["batch_id"] == 7
        statuses.tell(NAME, {"state": "running", "batch_id": 8}, has_it=True)
        assert statuses.all()[NAME]["batch_id"] == 8


def test_a_host_that_has_gone_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = Statuses(tmp_path)
    with another(monkeypatch):
        statuses.tell(NAME, {"state": "running"}, has_it=True)
        assert statuses.all()
    assert statuses.all() == {}
    statuses.tell(NAME, {"state": "stopped"}, has_it=False)
    assert statuses.all()[NAME]["state"] == "stopped"


def test_what_a_power_cut_has_left_is_no_word_and_is_written_anew(tmp_path: Path) -> None:
    statuses = Statuses(tmp_path)
    statuses.tell(NAME, {"state": "running"}, has_it=True)
    (path,) = tmp_path.rglob("*.json")
    for left in ("", '{"pid": 1, "ha'):
        path.write_text(left)
        assert statuses.all() == {}
        statuses.tell(NAME, {"state": "stopped"}, has_it=False)
        assert statuses.all()[NAME]["state"] == "stopped"


@pytest.mark.parametrize("seconds", [-3600, 3600], ids=["an hour old", "clock set back"])
def test_a_word_of_another_time_is_none(tmp_path: Path, seconds: int) -> None:
    statuses = Statuses(tmp_path)
    statuses.tell(NAME, {"state": "running"}, has_it=True)
    (path,) = tmp_path.rglob("*.json")
    said = json.loads(path.read_text())
    said["said_at"] = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    path.write_text(json.dumps(said))
    assert statuses.all() == {}

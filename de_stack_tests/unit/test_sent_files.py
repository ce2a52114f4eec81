"""What an earlier sending of a file demands of the next one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from de_stack.failures import PermanentFailure
from de_stack.flow.sent_files import SentFile, refuse_other, refuse_other_times, remembered_shift

FIRST = SentFile(1, "", "f.csv", "digest", 100, 5, datetime(2026, 11, 25, tzinfo=UTC), "me")


def test_the_same_file_in_the_same_way_may_go_again() -> None:
    refuse_other([], "", "digest", 100)
    refuse_other([FIRST, FIRST], "", "digest", 100)


def test_another_mapping_or_another_shift_under_the_same_ids_is_refused_with_who_and_when() -> None:
    with pytest.raises(
        PermanentFailure, match=r"me has sent it on 2026-11-25 00:00 UTC with another"
    ):
        refuse_other([FIRST], "", "other", 100)
    with pytest.raises(PermanentFailure, match="moved by 100 days, now it is 0.*--as NAME.*--mend"):
        refuse_other([FIRST], "", "digest", None)


def test_another_name_makes_other_events() -> None:
    refuse_other([FIRST], "second", "other", 7)
    with pytest.raises(PermanentFailure, match="as 'second' again"):
        refuse_other([FIRST, replace(FIRST, name="second")], "second", "other", 100)


HOW = {"columns": {"at": "t", "v": "a"}, "constants": {"k": "x"}, "time_zone": "UTC"}


def test_a_mended_mapping_may_change_all_but_the_times() -> None:
    sent = [replace(FIRST, mapping=HOW)]
    refuse_other_times([], "", HOW, "at", 3)
    refuse_other_times(sent, "other", HOW, "at", 3)
    refuse_other_times(sent, "", HOW | {"constants": {"k": "y"}}, "at", 100)
    refuse_other_times(sent, "", HOW | {"columns": {"at": "t", "v": "b"}}, "at", 100)
    with pytest.raises(PermanentFailure, match="moved by 100 days, now it is 99.*--as NAME"):
        refuse_other_times(sent, "", HOW, "at", 99)
    for change in (
        {"time_zone": "Asia/Tokyo"},
        {"time_format": "%Y"},
        {"no_header": True},
        {"columns": {"at": "u", "v": "a"}},
        {"columns": {"v": "a"}, "constants": {"at": "2026-01-01"}},
    ):
        with pytest.raises(PermanentFailure, match="at from another column, or read otherwise.*tw"):
            refuse_other_times(sent, "", HOW | change, "at", 100)


def test_the_newest_sending_counts_and_one_without_a_good_row_does_not() -> None:
    refuse_other([FIRST, replace(FIRST, mapping_digest="mended")], "", "mended", 100)
    refuse_other([replace(FIRST, good=0)], "", "other", None)
    with pytest.raises(PermanentFailure):
        refuse_other([replace(FIRST, good=None)], "", "other", 100)


def test_no_shift_and_a_shift_of_nothing_are_the_same_times() -> None:
    refuse_other([replace(FIRST, shift_days=None)], "", "digest", 0)


def test_the_first_shift_is_used_again_under_any_name() -> None:
    assert remembered_shift([]) is None
    assert remembered_shift([replace(FIRST, shift_days=None)]) is None
    assert remembered_shift(
        [replace(FIRST, good=0), replace(FIRST, id=2, shift_days=101)]
    ) == replace(FIRST, id=2, shift_days=101)
    assert remembered_shift([replace(FIRST, name="x"), replace(FIRST, shift_days=7)]) == replace(
        FIRST, name="x"
    )

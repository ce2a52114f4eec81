"""A query against the batch path. Belongs here: which difference is explained by what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from de_stack.flow.continuous.batches import History
from de_stack.flow.continuous.checkpoint import Planned
from de_stack.flow.continuous.parity import Parity, judge
from de_stack.flow.continuous.parity_tables import ends_of
from de_stack.flow.continuous.topic_sink import BATCH_HEADER

DAY = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = timedelta(seconds=10)
BEFORE = (1, 5.0, 5.0, 5.0)


def at(second: float) -> datetime:
    return DAY + timedelta(seconds=second)


def ms(second: float) -> int:
    return int(at(second).timestamp() * 1000)


# Partition 0. Batch 0 has offsets 0 and 1; its rows bring the watermark to 20 s, which batch 1 is
# planned with. Rows of batch 1 are judged by the watermark of batch 0, those of batch 2 by 20 s.
HISTORY = History(
    "q",
    "topic",
    {0: 0},
    [
        Planned(0, 0, {0: 2}),
        Planned(1, ms(20), {0: 3}),
        Planned(2, ms(20), {0: 4}),
        Planned(3, ms(60), {0: 4}),
    ],
)
ROWS = [(0, 1.0, 5.0), (1, 25.0, 7.0), (2, 11.0, 9.0), (3, 12.0, 100.0)]
# What Spark gives of these: the row at 12 s came when its window had been given.
GIVEN = {0: (1, 5.0, 5.0, 5.0), 10: (1, 9.0, 9.0, 9.0), 20: (1, 7.0, 7.0, 7.0)}
ALL = GIVEN | {10: (2, 54.5, 9.0, 100.0)}

Side = dict[int, tuple[int, float, float, float]]


def compared(
    given: Side = GIVEN,
    held: Side = ALL,
    rows: list[tuple[int, float, float]] = ROWS,
    ids: list[str] | None = None,
    again: Side | None = None,
    history: History = HISTORY,
    who: str = "q",
    until_s: float = 60,
    behind: bool = False,
) -> Parity:
    found = Parity()
    judge(
        found,
        {
            "ticks": pa.table(
                {
                    # Below zero: of another topic.
                    "partition": pa.array([min(r[0], 0) for r in rows], pa.int32()),
                    "offset": pa.array([abs(r[0]) for r in rows], pa.int64()),
                    "event_hour": pa.array([DAY] * len(rows), pa.timestamp("us", "UTC")),
                    "broker_time": pa.array([DAY] * len(rows), pa.timestamp("us", "UTC")),
                    "event_id": ids or [str(r[0]) for r in rows],
                    "key": ["AGL"] * len(rows),
                    "at": pa.array([at(r[1]) for r in rows], pa.timestamp("us", "UTC")),
                    "value": [r[2] for r in rows],
                }
            ),
            "messages": messages([*given.items(), *(again or {}).items()], who),
            "held": side(list(held.items())),
            "ends": ends_of(history),
            "windows": pa.table(
                {"window_name": ["10s"], "length_us": [10_000_000], "slide_us": [10_000_000]}
            ),
        },
        {0: int(at(until_s).timestamp() * 1_000_000)},
        "q",
        (DAY, DAY + timedelta(hours=1)),
        lambda _: behind,
    )
    return found


def side(rows: list[tuple[int, tuple[int, float, float, float]]]) -> pa.Table:
    columns: dict[str, Any] = {
        "window_name": pa.array(["10s"] * len(rows), pa.string()),
        "key": pa.array(["AGL"] * len(rows), pa.string()),
        "window_start": pa.array([at(s) for s, _ in rows], pa.timestamp("us", "UTC")),
        "average": pa.array([v[1] for _, v in rows], pa.float64()),
        "lowest": pa.array([v[2] for _, v in rows], pa.float64()),
        "highest": pa.array([v[3] for _, v in rows], pa.float64()),
        "rows": pa.array([v[0] for _, v in rows], pa.int64()),
    }
    return pa.table(columns)


def messages(rows: list[tuple[int, tuple[int, float, float, float]]], who: str) -> pa.Table:
    ends = pa.array([at(s) + WINDOW for s, _ in rows], pa.timestamp("us", "UTC"))
    headers = pa.array(
        [[{"key": BATCH_HEADER, "value": f"{who}/3".encode()}] for _ in rows],
        pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())])),
    )
    made = side(rows).append_column("window_end", ends)
    made = made.append_column("partition", pa.array([0] * len(rows), pa.int32()))
    return made.append_column("headers", headers)


def test_a_row_that_came_after_its_window_had_closed_explains_the_difference() -> None:
    found = compared()
    assert found.wrong == []
    assert (found.windows, found.equal, found.explained_by_late_rows) == (3, 2, 1)
    assert found.late_places == 1


def test_a_row_is_late_by_the_watermark_of_the_batch_before_its_own_and_not_by_its_own() -> None:
    # As if batch 1 had left its row out by the watermark that it was planned with itself.
    wrong = {start: value for start, value in GIVEN.items() if start != 10}
    found = compared(given=wrong)
    assert [text.split(":")[0] for text in found.wrong] == ["10s AGL 2026-03-01T00"]
    assert "the query gave nothing, its batches hold 1 rows" in found.wrong[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (GIVEN | {20: (2, 7.0, 7.0, 7.0)}, "gave 2 rows"),
        (GIVEN | {20: (1, 7.0 + 1e-7, 7.0, 7.0)}, "average 7.0000001"),
        (GIVEN | {40: (1, 1.0, 1.0, 1.0)}, "its batches hold nothing"),
        (GIVEN | {10: (2, 54.5, 9.0, 100.0)}, "1 late rows left out"),
    ],
)
def test_what_its_own_batches_do_not_hold_is_wrong_whatever_the_batch_path_says(
    given: Side, said: str
) -> None:
    (wrong,) = compared(given=given).wrong
    assert said in wrong


def test_the_batch_path_is_wrong_where_no_late_row_explains_it_and_the_first_key_is_named() -> None:
    found = compared(held=ALL | {0: (1, 6.0, 6.0, 6.0), 20: (9, 7.0, 7.0, 7.0)})
    assert [text[:31] for text in found.wrong] == [
        "10s AGL 2026-03-01T00:00:00+00:",
        "10s AGL 2026-03-01T00:00:20+00:",
    ]
    assert "the batch path holds 1 rows, average 6.0" in found.wrong[0]


def test_a_batch_path_that_has_still_to_compute_the_hour_is_not_held_against_the_query() -> None:
    found = compared(held={}, behind=True)
    assert (found.wrong, found.equal, found.batch_path_behind) == ([], 0, 3)


def test_a_window_that_the_batch_path_alone_has_is_wrong() -> None:
    (wrong,) = compared(held=ALL | {40: (1, 2.0, 2.0, 2.0)}).wrong
    assert "AGL 2026-03-01T00:00:40" in wrong
    assert "the batch path holds 1 rows" in wrong and "all rows give nothing" in wrong


def test_windows_of_a_topic_that_is_no_more_are_not_held_against_the_query() -> None:
    elsewhere = (-1, 40.0, 2.0)
    found = compared(held=ALL | {40: (1, 2.0, 2.0, 2.0)}, rows=[*ROWS, elsewhere])
    assert (found.wrong, found.not_read_by_query) == ([], 1)


def test_a_late_row_does_not_excuse_a_batch_path_that_is_wrong_in_its_window() -> None:
    (wrong,) = compared(held=GIVEN | {10: (2, 54.0, 9.0, 100.0)}).wrong
    assert "the batch path holds 2 rows, average 54.0" in wrong and "average 54.5" in wrong


def test_late_rows_are_counted_with_how_late_they_were() -> None:
    found = compared()
    # The one at 12 s, when the watermark was at 20.
    assert (len(found.late), found.late_places, found.most_late_s) == (1, 1, 8.0)


def test_an_event_that_the_topic_has_twice_explains_a_difference() -> None:
    rows = [(0, 1.0, 5.0), (1, 1.0, 5.0), *ROWS[2:]]
    history = History("q", "topic", {0: 0}, HISTORY.batches)
    given = {0: (2, 5.0, 5.0, 5.0), 10: GIVEN[10]}
    held = {0: (1, 5.0, 5.0, 5.0), 10: ALL[10]}
    found = compared(given, held, rows, ["same", "same", "2", "3"], history=history)
    assert found.wrong == [] and found.explained_by_repeated_events == 1


def test_a_result_that_came_twice_is_one_result_unless_its_numbers_differ() -> None:
    assert compared(again={0: BEFORE}).sent_more_than_once == 1
    (wrong,) = compared(again={0: (1, 4.0, 4.0, 4.0)}).wrong
    assert "2 different results" in wrong


def test_windows_are_compared_when_their_results_have_landed_and_not_before() -> None:
    found = compared(given={0: BEFORE}, until_s=10)
    assert (found.windows, found.wrong) == (1, [])


def test_results_of_another_checkpoint_do_not_count() -> None:
    assert len(compared(who="other").wrong) == 3


def test_rows_that_the_query_has_not_read_or_never_will_leave_their_windows_out() -> None:
    unread = [*ROWS, (4, 26.0, 8.0)]
    found = compared(rows=unread, held=ALL | {20: (2, 7.5, 7.0, 8.0)})
    assert found.wrong == [] and found.not_read_by_query == 1
    # It began after offset 0 was deleted.
    later = History("q", "topic", {0: 1}, HISTORY.batches)
    assert compared(history=later, given={s: GIVEN[s] for s in (10, 20)}).wrong == []
    # Its first batches are forgotten: nothing is said of their rows.
    forgotten = History("q", "topic", {0: 0}, HISTORY.batches[1:])
    assert compared(history=forgotten).not_read_by_query == 3

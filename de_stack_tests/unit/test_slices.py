"""Offset arithmetic. Belongs here: what must hold for every run of slices, and small cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_stack.flow.slices import Missing, Offsets, Slice, missing_ranges, next_slice, uncovered


@st.composite
def topics(draw: st.DrawFn) -> tuple[Offsets, Offsets, Offsets]:
    """(landed, begin, end): some partitions new, some idle, some with a begin past what landed."""
    landed, begin, end = {}, {}, {}
    for partition in range(draw(st.integers(0, 6))):
        begin[partition] = draw(st.integers(0, 50))
        end[partition] = begin[partition] + draw(st.integers(0, 200))
        if draw(st.booleans()):
            landed[partition] = draw(st.integers(0, end[partition]))
    return landed, begin, end


@given(topics(), st.integers(1, 100))
def test_slices_follow_each_other_without_hole_or_overlap_up_to_the_end(
    topic: tuple[Offsets, Offsets, Offsets], max_rows: int
) -> None:
    landed, begin, end = topic
    first = {p: max(landed.get(p, begin[p]), begin[p]) for p in end}
    reached = dict(landed)
    total = 0
    while piece := next_slice(reached, begin, end, max_rows):
        assert 0 < piece.size <= max_rows
        assert piece.start.keys() == piece.end.keys()
        for p in piece.end:
            assert piece.start[p] == max(reached.get(p, begin[p]), begin[p])
            assert piece.start[p] < piece.end[p] <= end[p]
        reached |= piece.end
        total += piece.size
    assert total == sum(max(0, end[p] - first[p]) for p in end)
    assert all(max(reached.get(p, 0), first[p]) >= end[p] for p in end)


@given(topics(), st.integers(1, 100))
def test_no_partition_starves(topic: tuple[Offsets, Offsets, Offsets], max_rows: int) -> None:
    landed, begin, end = topic
    waiting = {p: end[p] - max(landed.get(p, begin[p]), begin[p]) for p in end}
    waiting = {p: size for p, size in waiting.items() if size > 0}
    piece = next_slice(landed, begin, end, max_rows)
    if not waiting or len(waiting) > max_rows:
        return
    assert piece is not None
    fair = max_rows // len(waiting)
    for p, size in waiting.items():
        assert piece.end[p] - piece.start[p] >= min(size, fair)


@given(topics(), st.integers(1, 100))
def test_a_slice_is_as_large_as_it_may_be(
    topic: tuple[Offsets, Offsets, Offsets], max_rows: int
) -> None:
    landed, begin, end = topic
    waiting = sum(max(0, end[p] - max(landed.get(p, begin[p]), begin[p])) for p in end)
    piece = next_slice(landed, begin, end, max_rows)
    assert (piece.size if piece else 0) == min(waiting, max_rows)


@given(topics())
def test_the_same_question_has_the_same_answer(topic: tuple[Offsets, Offsets, Offsets]) -> None:
    landed, begin, end = topic
    backwards = [dict(reversed(offsets.items())) for offsets in (landed, begin, end)]
    assert next_slice(landed, begin, end, 7) == next_slice(*backwards, 7)


@pytest.mark.parametrize(
    ("landed", "begin", "end", "max_rows", "expected"),
    [
        ({}, {}, {}, 10, None),
        ({}, {0: 0}, {0: 0}, 10, None),
        ({0: 5}, {0: 0}, {0: 5}, 10, None),
        ({}, {0: 0}, {0: 5}, 10, Slice({0: 0}, {0: 5})),
        # The first slice starts where Kafka does.
        ({}, {0: 3}, {0: 5}, 10, Slice({0: 3}, {0: 5})),
        ({0: 4}, {0: 0}, {0: 5}, 10, Slice({0: 4}, {0: 5})),
        # A partition without news is left out.
        ({0: 5, 1: 1}, {0: 0, 1: 0}, {0: 5, 1: 3}, 10, Slice({1: 1}, {1: 3})),
        # A partition that was added is landed from its beginning.
        ({0: 5}, {0: 0, 1: 0}, {0: 5, 1: 2}, 10, Slice({1: 0}, {1: 2})),
        # Equal parts; what the small one leaves over goes to the large one.
        ({}, {0: 0, 1: 0}, {0: 100, 1: 2}, 10, Slice({0: 0, 1: 0}, {0: 8, 1: 2})),
        ({}, {0: 0, 1: 0}, {0: 100, 1: 100}, 10, Slice({0: 0, 1: 0}, {0: 5, 1: 5})),
        ({}, {0: 0, 1: 0, 2: 0}, {0: 9, 1: 9, 2: 9}, 2, Slice({0: 0, 1: 0}, {0: 1, 1: 1})),
    ],
)
def test_small_cases(
    landed: Offsets, begin: Offsets, end: Offsets, max_rows: int, expected: Slice | None
) -> None:
    assert next_slice(landed, begin, end, max_rows) == expected


@pytest.mark.parametrize(
    ("landed", "begin", "first", "expected"),
    [
        ({}, {0: 7}, True, []),
        ({0: 5}, {0: 5}, False, []),
        ({0: 5}, {0: 0}, False, []),
        ({0: 5}, {0: 8}, False, [Missing(0, 5, 7)]),
        ({0: 5, 1: 0}, {1: 1, 0: 6}, False, [Missing(0, 5, 5), Missing(1, 0, 0)]),
        # A partition that was added after the first slice has lost what retention took of it.
        ({0: 5}, {0: 5, 1: 3}, False, [Missing(1, 0, 2)]),
        ({0: 5}, {0: 5, 1: 0}, False, []),
    ],
)
def test_what_retention_took_is_named(
    landed: Offsets, begin: Offsets, first: bool, expected: list[Missing]
) -> None:
    assert missing_ranges(landed, begin, first_slice=first) == expected


@given(topics())
def test_without_missing_ranges_the_next_slice_starts_where_the_last_one_ended(
    topic: tuple[Offsets, Offsets, Offsets],
) -> None:
    landed, begin, end = topic
    if missing_ranges(landed, begin, first_slice=False):
        return
    piece = next_slice(landed, begin, end, 10)
    for p, start in (piece.start if piece else {}).items():
        assert start == landed.get(p, 0)


RANGES = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(
    lambda pair: Missing(0, min(pair), max(pair))
)


@given(RANGES, st.lists(RANGES))
def test_what_is_left_of_a_gap_is_exactly_what_nobody_accepted(
    gap: Missing, accepted: list[Missing]
) -> None:
    def offsets(ranges: list[Missing]) -> list[int]:
        return [o for r in ranges for o in range(r.first, r.last + 1)]

    elsewhere = Missing(1, 0, 30)
    left = offsets(uncovered(gap, [elsewhere, *accepted]))
    assert left == [o for o in offsets([gap]) if o not in set(offsets(accepted))]

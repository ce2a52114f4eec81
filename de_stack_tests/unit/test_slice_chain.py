"""Slices that follow each other. Belongs here: every way in which a chain of them can be broken."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_stack.flow.slice_chain import Link, broken_links
from de_stack.flow.slices import Missing, Offsets, next_slice

TOPIC = "one"
# Begin at 5 in Kafka; a partition that rests, one that comes later.
CHAIN = [
    Link(0, TOPIC, {0: 5}, {0: 10}, {0: 10, 1: 7}),
    Link(1, TOPIC, {1: 7}, {1: 9}, {0: 10, 1: 9}),
    Link(2, TOPIC, {0: 10, 2: 0}, {0: 12, 2: 3}, {0: 12, 1: 9, 2: 3}),
]
ANEW = Link(3, "two", {0: 4}, {0: 6}, {0: 6, 1: 0})


def test_a_chain_may_be_looked_at_from_its_middle_on() -> None:
    assert list(broken_links(CHAIN[1:], {}, set(), CHAIN[0])) == []
    assert list(broken_links([ANEW], {}, {(TOPIC, "two")}, CHAIN[2])) == []
    late = replace(CHAIN[2], start={0: 11, 2: 0})
    (said,) = broken_links([late], {}, set(), CHAIN[1])
    assert said == "slice 2: partition 0 offsets 10..10 never landed"
    assert list(broken_links([CHAIN[2]], {}, set(), CHAIN[0])) != []


def broken(*links: Link, lost=(), topics=()) -> list[str]:  # noqa: ANN001
    return list(broken_links(links, {TOPIC: list(lost)}, set(topics)))


def changed(number: int, **values: object) -> list[Link]:
    return [replace(link, **values) if link.slice == number else link for link in CHAIN]


def test_a_whole_chain_has_nothing_wrong_also_over_a_topic_that_was_accepted() -> None:
    assert broken(*CHAIN) == []
    assert broken(*CHAIN, ANEW, topics=[(TOPIC, "two")]) == []


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ([CHAIN[0], CHAIN[2]], "slices 1..1 are missing"),
        (CHAIN[1:], "slices 0..0 are missing"),
        ([CHAIN[0], CHAIN[1], CHAIN[1], CHAIN[2]], "slice 1 stands twice"),
        (
            changed(2, start={0: 11, 2: 0}),
            "slice 2: partition 0 offsets 10..10 never landed",
        ),
        (
            changed(2, start={0: 8, 2: 0}),
            "slice 2: partition 0 offsets 8..9 again",
        ),
        (
            changed(2, start={0: 10, 2: 1}),
            "slice 2: partition 2 offsets 0..0 never landed",
        ),
        # What stands still in one slice must not have moved in what it says of all partitions.
        (
            changed(1, landed={0: 11, 1: 9}),
            "slice 1: partition 0 offsets 10..10 never landed",
        ),
        (
            changed(1, landed={0: 10, 1: 12}),
            "slice 1: partition 1 offsets 7..8 landed, up to 12 is said",
        ),
        # Its only slice is gone, with the number given to another.
        (
            [CHAIN[0], Link(1, TOPIC, {0: 10}, {0: 11}, {0: 11, 1: 7, 2: 3})],
            "slice 1: partition 2 offsets 0..2 never landed",
        ),
        ([*CHAIN, ANEW], "slice 3: from topic one to two, not accepted"),
    ],
)
def test_each_break_is_said_with_slice_and_range(links: list[Link], said: str) -> None:
    assert said in broken(*links)


def test_a_range_that_was_accepted_as_lost_is_no_break_and_what_is_beside_it_is_one() -> None:
    links = changed(2, start={0: 14, 2: 0}, end={0: 15, 2: 3}, landed={0: 15, 1: 9, 2: 3})
    assert broken(*links, lost=[Missing(0, 10, 13)]) == []
    (said,) = broken(*links, lost=[Missing(0, 10, 12)])
    assert said == "slice 2: partition 0 offsets 13..13 never landed"
    # Another topic's loss is not this one's.
    assert list(broken_links(links, {"two": [Missing(0, 10, 13)]}, set())) != []


@given(st.lists(st.dictionaries(st.integers(0, 3), st.integers(0, 30)), max_size=8), st.data())
def test_whatever_landing_plans_is_a_chain_and_is_none_without_one_of_its_middle_slices(
    growth: list[Offsets], data: st.DataObject
) -> None:
    begin, end, landed, links = {0: 2, 1: 0}, {0: 2, 1: 0}, {}, []
    for more in growth:
        for partition, n in more.items():
            begin.setdefault(partition, 0)
            end[partition] = end.get(partition, 0) + n
        while piece := next_slice(landed, begin, end, 7):
            said = {**(landed or begin), **piece.end}
            links.append(Link(len(links), TOPIC, piece.start, piece.end, said))
            landed = said
    assert broken(*links) == []
    if len(links) > 2:
        gone = data.draw(st.integers(1, len(links) - 2))
        left = [replace(x, slice=i) for i, x in enumerate(links[:gone] + links[gone + 1 :])]
        assert broken(*left)

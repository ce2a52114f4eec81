"""Tweets from day files to Postgres on real services, with numbers that DuckDB computes itself."""

from __future__ import annotations

import random
from typing import Any

import pytest

from de_stack.flow.day_files import bronze
from de_stack.flow.ledger_rebuild import rebuild
from de_stack.resources.lake import Lake
from de_stack_tests.integration.tweeting import (
    SAMPLE,
    TWEETS,
    agreed,
    bring,
    computed,
    derive_pending,
    pending,
    published,
    rows_of,
)
from de_stack_tests.seeds import SEEDS


@pytest.fixture(scope="module")
def expected() -> dict[str, list[tuple[Any, ...]]]:
    return computed(SAMPLE)


def test_the_sample_comes_out_as_another_engine_has_it(settings, spark, expected) -> None:
    done = bring(settings, *SAMPLE)
    assert [d.outcome for d in done] == ["loaded"] * len(SAMPLE)
    assert all(d.reached == [] for d in done)
    derive_pending(settings, spark)
    found = published(settings)
    assert found == expected
    assert all(found.values())
    assert any(row[-1] is None for row in found["replies"])
    assert any(row[-1] and row[-1] > 86_400 for row in found["replies"])
    golden = [row[1:4] for row in found["renames"] if f"{row[0]}" == "2022-01-01"]
    assert golden == [
        (1001, "Alice", "Alice2"),
        (1003, "Charlie", "Charlie2"),
        (1004, "David", "David2"),
        (1004, "David2", "David3"),
    ]
    agreed(settings)


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_days_loaded_and_derived_in_any_order_come_out_the_same(
    settings, spark, expected, seed
) -> None:
    rng = random.Random(seed)
    order = rng.sample(SAMPLE, len(SAMPLE))
    # Between two of them, always: what was derived before the other files came has to change.
    pauses = {*rng.sample(range(len(order) - 1), 2), len(order) - 1}
    print(f"seed {seed}: {[path.name for path in order]}, derived after {sorted(pauses)}")
    reached = 0
    for number, path in enumerate(order):
        (done,) = bring(settings, path)
        reached += len(done.reached)
        if number in pauses:
            derive_pending(settings, spark)
    assert published(settings) == expected
    # Only a run in their order reaches nothing; then this test would prove nothing.
    assert reached or order == SAMPLE
    # A ledger made from the logs only lacks what left no commit: days without any rename.
    rebuild(settings)
    renamed = {str(row[0]) for row in expected["renames"]}
    assert not renamed & {str(day.date()) for day in pending(settings)}
    derive_pending(settings, spark)
    assert pending(settings) == []
    assert published(settings) == expected
    agreed(settings)


def test_the_same_content_adds_nothing_and_a_changed_file_takes_the_place_of_the_old(
    settings, spark, tmp_path
) -> None:
    bring(settings, *SAMPLE)
    derive_pending(settings, spark)
    version, before = Lake(settings).version(bronze(settings, TWEETS).uri), rows_of(settings)
    copied = tmp_path / "copy of 2022-01-02.csv"
    copied.write_bytes(SAMPLE[3].read_bytes())
    again = bring(settings, *SAMPLE, copied)
    assert {d.outcome for d in again} == {"unchanged"}
    assert again[-1].same_as == SAMPLE[3].name
    assert Lake(settings).version(bronze(settings, TWEETS).uri) == version
    assert pending(settings) == []

    # One of Alice's tweets of 2021-12-31 has another name, the last rows are gone.
    changed = tmp_path / SAMPLE[1].name
    lines = SAMPLE[1].read_bytes().decode().split("\r\n")
    place = max(i for i, line in enumerate(lines) if ",1001," in line[:30])
    lines[place] = lines[place].replace(",Alice,", ",Alicia,")
    changed.write_bytes(("\r\n".join(lines[:-4]) + "\r\n").encode())
    (done,) = bring(settings, changed)
    assert (done.outcome, done.replaced) == (
        "replaced",
        sum(r["file"] == changed.name for r in before),
    )
    assert done.rows < done.replaced
    assert "2022-01-01" in done.reached
    derive_pending(settings, spark)
    now = [changed if path.name == changed.name else path for path in SAMPLE]
    assert published(settings) == computed(now) != computed(SAMPLE)
    kept = [row for row in before if row["file"] != changed.name]
    assert [row for row in rows_of(settings) if row["file"] != changed.name] == kept
    agreed(settings)

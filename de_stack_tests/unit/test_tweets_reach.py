"""Days that a load reaches: after any order of loads, deriving them again gives what deriving
everything gives. Computed here in plain Python, with the loader's own statement for the days."""

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from de_stack.contracts.cells import Row
from de_stack.contracts.day_files import load_day_files
from de_stack.defs.tweets.core.reach import REACHED
from de_stack.flow.commits import utc
from de_stack.flow.day_files import batch, bronze_schema
from de_stack.resources.lake_write import LakeWriter
from de_stack.settings import Settings

TWEETS = load_day_files("tweets")
FIRST = date(2022, 1, 1)


@dataclass(frozen=True)
class Tweet:
    status: int
    user: int
    at: datetime
    name: str
    answers: int | None = None


def at(day: int, second: int = 0) -> datetime:
    return datetime(2022, 1, 1, tzinfo=UTC) + timedelta(days=day, seconds=second)


def day_of(tweet: Tweet) -> datetime:
    return tweet.at.replace(hour=0, minute=0, second=0)


Files = dict[str, list[Tweet]]


def kept(files: Files) -> list[Tweet]:
    """One tweet per day, user and id: that of the newest file, the newest of it."""
    found: dict[Any, Tweet] = {}
    for name in sorted(files):
        for tweet in sorted(files[name], key=lambda t: t.at):
            found[day_of(tweet), tweet.user, tweet.status] = tweet
    return sorted(found.values(), key=lambda t: (t.at, t.status))


def derived(files: Files) -> dict[datetime, list[Any]]:
    """Renames and delays by day, from the definition."""
    tweets, result = kept(files), {}
    names: dict[int, str] = {}
    for tweet in tweets:
        found = result.setdefault(day_of(tweet), [])
        before = names.get(tweet.user, tweet.name)
        if before != tweet.name:
            found.append(("rename", tweet.status, before, tweet.name))
        names[tweet.user] = tweet.name
        if tweet.answers is not None:
            originals = [t for t in tweets if t.status == tweet.answers]
            first = min(originals, key=lambda t: (t.at, t.user), default=None)
            known = first is not None and day_of(first) <= day_of(tweet)
            found.append(("delay", tweet.status, tweet.at - first.at if known else None))
    return result


def rows_of(name: str, tweets: list[Tweet]) -> pa.RecordBatch:
    rows = []
    for number, t in enumerate(tweets, 1):
        record = {
            "status_id": t.status,
            "user_id": t.user,
            "created_at": t.at,
            "screen_name": t.name,
            "reply_to_status_id": t.answers,
        }
        rows.append((number, number, Row({}, record, None)))
    return batch(TWEETS, (name, "x", FIRST + timedelta(days=int(name[0]))), rows)


class Bronze:
    """Files that are loaded one after the other, and the days that each load reaches."""

    def __init__(self, place: Path) -> None:
        self.lake, self.old, self.new = LakeWriter(Settings(lake_uri="")), place / "old", place
        DeltaTable.create(str(self.old), schema=bronze_schema(TWEETS))
        self.loads = 0

    def load(self, name: str, tweets: list[Tweet]) -> set[datetime]:
        self.loads += 1
        made, staged = rows_of(name, tweets), str(self.new / str(self.loads))
        write_deltalake(staged, made)
        sql, version = REACHED.replace(":file", f"'{name}'"), self.lake.version(str(self.old))
        assert version is not None
        rows = self.lake.with_new(str(self.old), version, staged, sql)
        write_deltalake(str(self.old), made, mode="overwrite", predicate=f"file = '{name}'")
        return {utc(row["event_hour"]) for row in rows}


def loaded(place: Path, loads: Iterable[tuple[str, list[Tweet]]]) -> tuple[Files, Any]:
    """(files, what is derived by day, each when a load had made it pending)."""
    files: Files = {}
    state: dict[datetime, list[Any]] = {}
    bronze = Bronze(place)
    for name, tweets in loads:
        days = bronze.load(name, tweets)
        touched = {day_of(t) for t in [*files.get(name, []), *tweets]}
        files = files | {name: tweets}
        now = derived(files)
        for day in days | touched:
            state[day] = now.get(day, [])
    return files, without_nothing(state)


def without_nothing(result: dict[datetime, list[Any]]) -> dict[datetime, list[Any]]:
    return {day: rows for day, rows in result.items() if rows}


DAYS: Files = {
    "0": [Tweet(1, 1, at(0), "Alice"), Tweet(2, 2, at(0, 5), "Bob")],
    "1": [Tweet(3, 1, at(1), "Alice2"), Tweet(4, 3, at(1, 1), "Carol", answers=2)],
    "2": [Tweet(5, 2, at(2), "Bob", answers=3), Tweet(6, 3, at(2, 9), "Carol")],
    "3": [Tweet(7, 1, at(3), "Alice", answers=1), Tweet(8, 3, at(3), "Karl", answers=8)],
}


@pytest.mark.parametrize("order", list(itertools.permutations(DAYS)), ids="".join)
def test_days_loaded_in_any_order_end_in_the_same(tmp_path: Path, order) -> None:
    files, state = loaded(tmp_path, [(name, DAYS[name]) for name in order])
    assert state == without_nothing(derived(files))


@pytest.mark.parametrize("seed", range(4))
def test_random_loads_and_changed_files_end_in_the_same(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)

    def some(day: int) -> list[Tweet]:
        return [
            Tweet(
                rng.randrange(25),
                rng.randrange(4),
                # Now and then of a neighbouring day.
                at(day + rng.choice([0, 0, 0, 0, 1]), rng.randrange(50)),
                rng.choice("ABC"),
                rng.choice([None, None, rng.randrange(25)]),
            )
            for _ in range(rng.randrange(6))
        ]

    names = [f"{day}{part}" for day in range(5) for part in "ab"]
    loads = [(name, some(int(name[0]))) for name in rng.choices(names, k=12)]
    files, state = loaded(tmp_path, loads)
    assert state == without_nothing(derived(files))


def test_only_days_that_change_are_reached(tmp_path: Path) -> None:
    later = {
        "1": [Tweet(3, 1, at(1), "Alice"), Tweet(4, 2, at(1), "Bob")],
        "2": [Tweet(5, 1, at(2), "Alice"), Tweet(6, 2, at(2), "Bob2", answers=1)],
        "3": [Tweet(7, 2, at(3), "Bob2", answers=99)],
    }
    same, other = Tweet(1, 1, at(0), "Alice"), Tweet(1, 1, at(0), "Al")
    bronze = Bronze(tmp_path)
    for name, tweets in later.items():
        assert bronze.load(name, tweets) == set()
    # Day 1: nobody knew what the name was before. Day 2: the answer to 1. Day 3: nothing.
    assert bronze.load("0", [same]) == {at(1), at(2)}
    assert bronze.load("0", [same]) == set()
    # Another name reaches the next day only, another time the answer only.
    assert bronze.load("0", [other]) == {at(1)}
    assert bronze.load("0", [Tweet(1, 1, at(0, 1), "Al")]) == {at(2)}
    # Without its rows the file is as if it had never been there.
    assert bronze.load("0", []) == {at(1), at(2)}

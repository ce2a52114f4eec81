"""What a rebuild chooses. Belongs here: selections, right and wrong; ranges of hours."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from de_stack.definitions import defs
from de_stack.failures import PermanentFailure
from de_stack.flow.rebuilding import covered
from de_stack.orchestration.rebuilding import choose

HOUR = timedelta(hours=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def names(keys: list[dg.AssetKey]) -> list[str]:
    return [key.path[-1] for key in keys]


def test_a_stream_is_all_that_is_derived_from_its_silver_in_the_order_of_the_runs() -> None:
    chosen = choose(defs(), "telemetry.measures")
    assert names(chosen.hourly) == [
        "silver_measures",
        "stats_measures",
        "published_stats_measures",
    ]
    assert names(chosen.whole) == ["mart_daily_metrics", "published_mart_daily_metrics"]
    assert chosen.added == chosen.left_out == []


def test_day_files_are_all_that_is_derived_from_what_was_loaded() -> None:
    chosen = choose(defs(), "tweets.tweets")
    golds = {"gold_daily_summary", "gold_replies", "gold_renames"}
    assert set(names(chosen.hourly)) == golds | {f"published_{name}" for name in golds}
    assert chosen.stream.name == "tweets.tweets"
    assert chosen.whole == chosen.added == chosen.left_out == []
    one = choose(defs(), "tweets/published_gold_renames")
    assert names(one.hourly) == ["gold_renames", "published_gold_renames"]


@pytest.mark.parametrize(
    ("text", "hourly", "whole", "added"),
    [
        ("telemetry/silver_measures", ["silver_measures"], [], []),
        ('key:"telemetry/silver_measures"+1', ["silver_measures", "stats_measures"], 1, []),
        (
            "telemetry/published_stats_measures",
            ["stats_measures", "published_stats_measures"],
            [],
            ["stats_measures"],
        ),
        ("telemetry/mart_daily_metrics", [], ["mart_daily_metrics"], []),
    ],
)
def test_a_selection_is_dagsters(text: str, hourly: list, whole: list | int, added: list) -> None:
    chosen = choose(defs(), text)
    assert names(chosen.hourly) == hourly
    assert names(chosen.added) == added
    assert names(chosen.whole) == whole if isinstance(whole, list) else len(chosen.whole) == whole


def test_what_is_not_derived_is_left_out_beside_others_and_refused_alone() -> None:
    chosen = choose(defs(), "telemetry/bronze_measures or telemetry/stats_measures")
    assert names(chosen.hourly) == ["stats_measures"]
    assert names(chosen.left_out) == ["bronze_measures"]
    for text, said in (
        ("telemetry/bronze_measures", "telemetry/bronze_measures: not derived from a table"),
        ("telemetry.measure", "['telemetry.measure'] were selected"),
        ('key:"telemetry/nothing"', "no asset has such a name"),
        ("((", "Invalid selection"),
    ):
        with pytest.raises(PermanentFailure, match="telemetry/silver_measures") as caught:
            choose(defs(), text)
        assert said in caught.value.got


def test_ranges_cover_every_hour_and_none_is_too_long() -> None:
    hours = [START + i * HOUR for i in (0, 1, 5, 23, 24, 700)]
    assert covered(hours, "hour", 24) == [
        (hours[0], hours[3]),
        (hours[4], hours[4]),
        (hours[5], hours[5]),
    ]
    assert covered([], "hour", 1) == []
    assert covered(hours[:2], "hour", 1) == [(hours[0], hours[0]), (hours[1], hours[1])]


def test_no_range_covers_an_hour_that_is_left_out() -> None:
    hours = [START + i * HOUR for i in (0, 1, 2, 5)]
    assert covered(hours, "hour", 24, [hours[1]]) == [(hours[0], hours[0]), (hours[2], hours[3])]
    # It need not be among them: a range may have idle hours in it, but not this one.
    assert covered(hours, "hour", 24, [START + 3 * HOUR]) == [(hours[0], hours[2]), (hours[3],) * 2]
    assert covered(hours, "hour", 24, hours) == []

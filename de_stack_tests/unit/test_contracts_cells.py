"""Rows of day files against their contract: what is typed, what is refused and with which word."""

import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from de_stack.contracts import ContractError
from de_stack.contracts.cells import Header, Row, row_decoder
from de_stack.contracts.day_files import load_all_day_files, load_day_files
from de_stack.contracts.load import DEFS
from de_stack.failures import PermanentFailure

TWEETS = load_day_files("tweets")
NOW = datetime(2022, 1, 5, tzinfo=UTC)
COLUMNS = [
    "status_id",
    "user_id",
    "created_at",
    "screen_name",
    "text",
    "source",
    "reply_to_status_id",
    "reply_to_user_id",
    "reply_to_screen_name",
    "is_quote",
    "is_retweet",
    "favourites_count",
    "retweet_count",
    "country_code",
    "place_full_name",
    "place_type",
    "followers_count",
    "friends_count",
    "account_lang",
    "account_created_at",
    "verified",
    "lang",
]
GOOD = {
    "status_id": "1477000000000000001",
    "user_id": "7",
    "created_at": "2022-01-01T10:00:00Z",
    "screen_name": "Alice",
    "text": "two\nlines",
    "source": "",
}


def decoded(changes: dict[str, str] | None = None, extra: list[str] | None = None) -> Row:
    row = GOOD | (changes or {})
    header = Header.of(TWEETS, list(row), "read f.csv")
    return row_decoder(TWEETS, header, NOW)([*row.values(), *(extra or [])])


def test_the_contract_has_the_columns_of_the_public_files() -> None:
    assert [f.name for f in TWEETS.fields] == COLUMNS
    assert TWEETS.required == tuple(COLUMNS[:6])
    assert (TWEETS.name, TWEETS.grain, TWEETS.look_back) == ("tweets.tweets", "day", None)


def test_a_good_row_is_typed_and_what_the_file_lacks_is_null() -> None:
    row = decoded({"reply_to_status_id": "", "reply_to_screen_name": ""})
    assert row.error is None and row.record is not None
    assert {name: value for name, value in row.record.items() if value is not None} == {
        "status_id": 1477000000000000001,
        "user_id": 7,
        "created_at": datetime(2022, 1, 1, 10, tzinfo=UTC),
        "screen_name": "Alice",
        "text": "two\nlines",
        "source": "",
    }
    assert row.raw["reply_to_status_id"] == ""
    assert "lang" not in row.raw and row.record["lang"] is None


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"user_id": ""}, "missing:user_id: "),
        ({"screen_name": ""}, "missing:screen_name: "),
        ({"created_at": ""}, "missing:created_at: "),
        ({"status_id": "1.477e18"}, "wrong_type:status_id: '1.477e18' is no whole number"),
        ({"status_id": "1477000000000000001.0"}, "wrong_type:status_id: "),
        ({"status_id": " 1"}, "wrong_type:status_id: "),
        ({"status_id": "\u0661"}, "wrong_type:status_id: "),
        ({"status_id": "-1"}, "out_of_range:status_id: "),
        ({"status_id": "9223372036854775808"}, "out_of_range:status_id: "),
        ({"status_id": "9" * 5000}, "out_of_range:status_id: "),
        ({"reply_to_user_id": "x"}, "wrong_type:reply_to_user_id: "),
        ({"created_at": "yesterday"}, "wrong_type:created_at: "),
        ({"created_at": "2022-01-01T10:00:00"}, "wrong_type:created_at: .*has no zone"),
        ({"created_at": "2022-02-30T10:00:00Z"}, "wrong_type:created_at: "),
        ({"created_at": "2006-03-20T23:59:59Z"}, "before_history:created_at: "),
        ({"created_at": "2022-01-06T00:00:01Z"}, "in_future:created_at: "),
        ({"text": "a\0b"}, "out_of_range:text: holds a NUL"),
    ],
)
def test_a_bad_row_keeps_its_cells_and_says_code_and_field(changes, error) -> None:
    row = decoded(changes)
    assert row.record is None
    (name, value) = next(iter(changes.items()))
    assert row.raw[name] == value
    with pytest.raises(ValueError, match=f"^{error}"):
        raise ValueError(row.error)


def test_an_offset_is_another_way_to_say_a_time() -> None:
    row = decoded({"created_at": "2022-01-01 01:30:00.25+05:30"})
    assert row.record is not None
    assert row.record["created_at"] == datetime(2021, 12, 31, 20, 0, 0, 250_000, UTC)


def test_a_row_with_too_few_or_too_many_cells_is_bad_and_loses_none() -> None:
    more = decoded(extra=["x", "y"])
    assert (more.error, more.extra) == ("columns:: 8 cells, the header has 6", ["x", "y"])
    header = Header.of(TWEETS, list(GOOD), "read f.csv")
    less = row_decoder(TWEETS, header, NOW)(["1", "2"])
    assert (less.error, less.raw) == (
        "columns:: 2 cells, the header has 6",
        {"status_id": "1", "user_id": "2"},
    )


def test_columns_may_stand_in_any_order_and_unknown_ones_are_named() -> None:
    header = Header.of(TWEETS, ["geo", *reversed(GOOD), "geo", " lang "], "read f.csv")
    assert header.ignored == ("geo", "geo")
    assert header.columns[-1] == "lang"


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    with pytest.raises(
        PermanentFailure, match=r"no column user_id, source: the header has status_id, .*text"
    ):
        Header.of(TWEETS, [n for n in GOOD if n not in ("user_id", "source")], "read f.csv")
    with pytest.raises(PermanentFailure, match="text twice"):
        Header.of(TWEETS, [*GOOD, "text"], "read f.csv")


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_every_64_bit_id_comes_out_as_it_went_in(number: int) -> None:
    row = decoded({"status_id": str(number), "reply_to_status_id": str(number)})
    assert row.record is not None
    assert row.record["status_id"] == row.record["reply_to_status_id"] == number


def test_an_unknown_domain_is_named_with_those_that_are_known() -> None:
    with pytest.raises(PermanentFailure, match=r"day files of 'twits'.*one of: .*tweets"):
        load_day_files("twits")


def contract() -> dict[str, Any]:
    return yaml.safe_load((DEFS / "tweets" / "contract.odcs.yaml").read_text(encoding="utf-8"))


def written(folder: Path, content: dict[str, Any], name: str = "tweets") -> Path:
    (folder / name).mkdir()
    (folder / name / "contract.odcs.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def test_a_contract_of_files_that_is_wrong_says_where(tmp_path: Path) -> None:
    assert load_all_day_files.__wrapped__(written(tmp_path, contract())).keys() == {"tweets"}
    with pytest.raises(ContractError, match="not the folder's name"):
        load_all_day_files.__wrapped__(written(tmp_path, contract(), "other"))
    words = contract()["customProperties"][0]["value"]["tweets"]
    for number, (word, value, where) in enumerate(
        [
            ("format", "xml", "format: 'xml' is not one of csv"),
            ("eventTime", "text", "eventTime: is not a required timestamp"),
            ("grain", "hour", "grain: 'hour'"),
            ("historyStart", "2006-03-21T05:00:00Z", "not midnight"),
            ("colour", "red", "unknown: colour"),
        ]
    ):
        content = copy.deepcopy(contract())
        content["customProperties"][0]["value"] = {"tweets": words | {word: value}}
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(ContractError, match=where):
            load_all_day_files.__wrapped__(written(folder, content))


def test_a_file_from_the_day_after_loading_is_not_too_new() -> None:
    late = (NOW + timedelta(days=1)).isoformat()
    assert decoded({"created_at": late}).error is None

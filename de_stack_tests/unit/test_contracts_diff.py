"""Two versions of a contract. Belongs here: each kind of change and what it takes; the command."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from de_stack.cli import contracts as command
from de_stack.contracts import Field, Stream
from de_stack.contracts.diff import changes, is_raised_enough, needed
from de_stack.contracts.model import Envelope, Window
from de_stack.failures import PermanentFailure
from de_stack_tests.streams import AT, contract, stream, write_contract

SIZE = Field("size", ("size",), "number", minimum=0, maximum=10)
NAME = Field("name", ("name",), "string", required=True, max_length=5, allowed=("a", "b"))
OLD = stream(SIZE, NAME)
DAY_LONG = timedelta(days=1)


def test_a_form_that_is_gone_or_is_read_otherwise_breaks_its_senders() -> None:
    old = same(envelopes=(FORM,))
    for now in ((), (replace(FORM, paths={"at": (("then",),)}),)):
        (found,) = changes({"x": old}, {"x": same(envelopes=now)})
        assert (found.where, found.level) == ("envelopes", "major")


@pytest.mark.parametrize(
    ("word", "before", "now"),
    [
        ("csvLine", {"csv_line": ("name", "size")}, {"csv_line": ("size", "name")}),
        ("csvLine", {"csv_line": ("name", "size")}, {}),
        ("windows", {"windows": (Window("w", DAY_LONG, DAY_LONG),)}, {}),
        ("watermark", {"watermark": DAY_LONG}, {"watermark": DAY_LONG / 2}),
        ("topicVersion", {"topic_version": 1}, {}),
    ],
)
def test_what_readers_or_senders_count_on_breaks_them(word, before, now) -> None:
    (found,) = changes({"x": same(**before)}, {"x": same(**now)})
    assert (found.where, found.level) == (word, "major")


def of_field(old: Field, **values: Any) -> Stream:
    return stream(*[replace(f, **values) if f is old else f for f in (SIZE, NAME)])


def same(**values: Any) -> Stream:
    return stream(SIZE, NAME, **values)


WINDOW = Window("10s", timedelta(seconds=10), timedelta(seconds=5))
FORM = Envelope("form", {"at": (("t",),)}, {})
DAY = {"grain": "day"}
CASES: list[tuple[str, Stream, str, str, str]] = [
    # what, new stream, where, level, part of what follows
    ("a field removed", stream(SIZE), "field name", "major", "reparse lab.things; de-stack reb"),
    ("an optional field", same(fields=(*OLD.fields, Field("x", ("x",), "date"))), "field x")
    + ("minor", "reparse"),
    (
        "a required field",
        same(fields=(*OLD.fields, Field("x", ("x",), "date", required=True))),
        "field x",
        "major",
        "reparse",
    ),
    ("another type", of_field(SIZE, type="integer"), "field size", "major", "anew"),
    ("another place", of_field(SIZE, path=("body", "size")), "field size", "major", "reparse"),
    ("another unit", of_field(SIZE, unit="m"), "field size", "major", "old unit"),
    ("required now", of_field(SIZE, required=True), "field size", "major", "reparse"),
    ("optional now", of_field(NAME, required=False), "field name", "minor", "reparse"),
    ("a minimum raised", of_field(SIZE, minimum=1), "field size", "major", "reparse"),
    ("a minimum lowered", of_field(SIZE, minimum=-1), "field size", "minor", "reparse"),
    ("no minimum any more", of_field(SIZE, minimum=None), "field size", "minor", "reparse"),
    ("a maximum lowered", of_field(SIZE, maximum=9), "field size", "major", "reparse"),
    ("a maximum raised", of_field(SIZE, maximum=11), "field size", "minor", "reparse"),
    ("a first maximum", of_field(NAME, min_length=1), "field name", "major", "reparse"),
    ("a length shortened", of_field(NAME, max_length=4), "field name", "major", "reparse"),
    ("a length made longer", of_field(NAME, max_length=6), "field name", "minor", "reparse"),
    ("a pattern", of_field(NAME, pattern="a+"), "field name", "major", "reparse"),
    ("a value less", of_field(NAME, allowed=("a",)), "field name", "major", "reparse"),
    ("a value more", of_field(NAME, allowed=("a", "b", "c")), "field name", "minor", "reparse"),
    ("any value", of_field(NAME, allowed=()), "field name", "minor", "reparse"),
    ("other words", of_field(NAME, description="x"), "field name", "patch", ""),
    ("another class", of_field(NAME, classification="pii"), "field name", "patch", ""),
    ("another grain", same(grain="day"), "grain", "major", "anew"),
    ("another id", same(event_id="field:name"), "eventId", "major", "reparse"),
    ("another time", same(event_time="then"), "eventTime", "major", "reparse"),
    ("another key", same(key=("name",)), "primaryKey", "major", "old key"),
    ("fewer partitions", same(partitions=2), "topicPartitions", "major", "accept-topic"),
    ("more partitions", same(partitions=4), "topicPartitions", "minor", "de-stack init"),
    ("kept shorter", same(retention=OLD.retention / 2), "retention", "major", "de-stack init"),
    ("kept longer", same(retention=OLD.retention * 2), "retention", "minor", "de-stack init"),
    ("a later start", same(history_start=OLD.history_start.replace(month=2)), "historyStart")
    + ("major", "reparse"),
    ("an earlier start", same(history_start=OLD.history_start.replace(year=2025)), "historyStart")
    + ("minor", "reparse"),
    ("less of the future", same(max_future=OLD.max_future / 2), "maxFutureSkew")
    + ("major", "reparse"),
    ("another form", same(envelopes=(FORM,)), "envelopes", "minor", ""),
    ("more of the future", same(max_future=OLD.max_future * 2), "maxFutureSkew")
    + ("minor", "reparse"),
    ("other lateness", same(allowed_lateness=OLD.look_back), "allowedLateness", "minor", "rebuild"),
    ("another look-back", same(look_back=OLD.retention), "lookBack", "minor", ""),
    ("another freshness", same(freshness=OLD.retention), "freshness", "minor", ""),
    ("another error rate", same(error_rate=0.5), "errorRate", "minor", ""),
    ("another window", same(error_rate_window=OLD.retention), "errorRateWindow", "minor", ""),
    ("counted elsewhere", same(accounted_in=("gold_x", "n")), "accountedIn", "minor", ""),
    ("read by dbt", same(dbt_reads=("gold_x",)), "dbtReads", "minor", ""),
    ("another team", same(team="x"), "team", "patch", ""),
    ("another topic", same(topic_version=2), "topicVersion", "major", "accept-topic"),
    ("lines of CSV, too", same(csv_line=("name", "size")), "csvLine", "minor", "reparse"),
    ("another window", same(windows=(WINDOW,)), "windows", "minor", "rebuild"),
    ("a longer wait", same(watermark=OLD.retention), "watermark", "minor", ""),
]


@pytest.mark.parametrize(("new", "where", "level", "follow"), [c[1:] for c in CASES])
def test_a_change_is_said_with_what_it_takes_and_what_follows(
    new: Stream, where: str, level: str, follow: str
) -> None:
    (change,) = changes({"lab.things": OLD}, {"lab.things": new})
    assert (change.where, change.level, change.is_breaking) == (where, level, level == "major")
    assert follow in change.follow
    assert bool(change.follow) == bool(follow)


def test_every_word_of_a_stream_and_a_field_is_compared() -> None:
    """Nothing may change in silence: a word that `diff` does not know makes no difference there."""
    compared = {w for _, new, *_ in CASES for w in vars(new) if vars(new)[w] != vars(OLD)[w]}
    unknown = vars(OLD).keys() - compared
    # Names are the stream; the version is what the comparison is for; the others have one choice.
    assert unknown == {
        *("domain", "entity", "version", "wire_format"),
        *("description", "owner", "generator_rate"),
    }
    for word, value in (("description", "x"), ("owner", "x@y.org"), ("generator_rate", 9.0)):
        (change,) = changes({"a": OLD}, {"a": same(**{word: value})})
        assert change.level == "patch"
    fields = {w for _, new, *_ in CASES for f in new.fields for w in vars(f) if f.name in _BY_NAME}
    changed = {
        w
        for _, new, *_ in CASES
        for f in new.fields
        for w in fields
        if f.name in _BY_NAME and vars(f)[w] != vars(_BY_NAME[f.name])[w]
    }
    assert fields - changed == {"name", "generator"}
    (change,) = changes({"a": OLD}, {"a": of_field(SIZE, generator={"now": {}})})
    assert change.level == "patch"


_BY_NAME = {f.name: f for f in (SIZE, NAME, AT)}


def test_streams_come_and_go_and_what_breaks_stands_first() -> None:
    other = replace(OLD, entity="others")
    found = changes({"lab.things": OLD}, {"lab.others": other})
    assert [(c.stream, c.what, c.level) for c in found] == [
        ("lab.things", "removed", "major"),
        ("lab.others", "added", "minor"),
    ]
    assert needed(found) == "major"
    assert needed(changes({"a": OLD}, {"a": OLD})) is None


@pytest.mark.parametrize(
    ("old", "new", "level", "is_right"),
    [
        ("1.2.3", "2.0.0", "major", True),
        ("1.2.3", "1.3.0", "major", False),
        ("1.2.3", "1.3.0", "minor", True),
        ("1.2.3", "2.0.0", "minor", True),
        ("1.2.3", "1.2.4", "minor", False),
        ("1.2.3", "1.2.4", "patch", True),
        ("1.2.3", "1.2.3", "patch", False),
        ("1.2.3", "1.1.9", "minor", False),
        ("1.9.0", "1.10.0", "minor", True),
        # Before 1.0.0 anything may change with the minor number.
        ("0.2.0", "0.3.0", "major", True),
        ("0.2.0", "0.2.1", "major", False),
        ("0.2.0", "1.0.0", "major", True),
        ("1.2.3", "1.2.3", None, True),
        ("1.2.3", "1.2.4", None, True),
        ("one", "2.0.0", "patch", False),
    ],
)
def test_the_version_number_follows_the_change(
    old: str, new: str, level: Any, is_right: bool
) -> None:
    assert is_raised_enough(old, new, level) is is_right


def typed(*words: str | Path) -> tuple[int, dict[str, Any]]:
    app = typer.Typer()
    command.register(app)
    result = CliRunner().invoke(
        app, ["contracts", "diff", *map(str, words), "--json"], catch_exceptions=False
    )
    return result.exit_code, json.loads(result.output)


def two(tmp_path: Path, **words: Any) -> tuple[Path, Path]:
    found = []
    for name in ("old", "new"):
        content = contract()
        if name == "new":
            content["customProperties"][0]["value"]["things"].update(words)
        (tmp_path / name).mkdir()
        found.append(write_contract(tmp_path / name, content))
    return found[0], found[1]


def test_the_command_exits_with_1_where_something_breaks(tmp_path: Path) -> None:
    code, told = typed(*two(tmp_path, topicPartitions=2))
    assert (code, told["compatible"]) == (1, False)
    (change,) = told["changes"]
    assert (change["where"], change["is_breaking"]) == ("topicPartitions", True)
    assert told["versions"] == [
        {"domain": "lab", "old": "1.0.0", "new": "1.0.0", "needs": "major", "is_right": False}
    ]


def test_a_compatible_change_exits_with_0_and_still_wants_its_number(tmp_path: Path) -> None:
    code, told = typed(*two(tmp_path, topicPartitions=9))
    assert (code, told["compatible"]) == (0, True)
    assert told["versions"][0]["needs"] == "minor"
    assert told["versions"][0]["is_right"] is False


def test_the_same_file_twice_is_no_difference_and_says_so(tmp_path: Path) -> None:
    old, _ = two(tmp_path)
    app = typer.Typer()
    command.register(app)
    result = CliRunner().invoke(app, ["contracts", "diff", str(old), str(old)])
    assert (result.exit_code, result.output.strip()) == (0, "no difference")


def test_a_revision_that_git_does_not_know_is_refused_with_what_to_name() -> None:
    with pytest.raises(PermanentFailure, match="name two files") as caught:
        typed("no-such-revision")
    assert "no-such-revision" in str(caught.value)

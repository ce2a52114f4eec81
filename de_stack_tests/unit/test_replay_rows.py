"""A row of a file -> a message: which column, which type, and what the landing will say to it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from de_stack.contracts import Field
from de_stack.failures import PermanentFailure
from de_stack.sources.replay.mapping import Mapping, resolve, snake
from de_stack.sources.replay.records import Event, Records, id_prefix, last_time
from de_stack.sources.replay.times import Times
from de_stack.sources.replay.values import boolean, integer, number, plain, text
from de_stack_tests.streams import AT, stream

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
FIELDS = (
    Field("id", ("id",), "string", required=True),
    Field("size", ("body", "size"), "number", required=True, maximum=100),
    Field("count", ("body", "count"), "integer"),
    Field("is_new", ("is_new",), "boolean"),
    Field("made_on", ("made_on",), "date"),
    Field("kind", ("kind",), "string", allowed=("x", "y")),
)
THINGS = stream(*FIELDS, key=("id",))
ALL = Mapping({f.name: f.name for f in (*FIELDS, AT)}, {}, ())


def events(
    rows: list, shift: int = 0, mapping: Mapping = ALL, prefix: str = "p:", **how
) -> list[Event]:  # noqa: ANN003
    times = how.pop("times", Times())
    made = Records(
        how.pop("of", THINGS), mapping, times, timedelta(days=shift), prefix, lambda: NOW
    )
    return list(made.of(1, rows))


def test_a_row_becomes_json_by_the_contracts_paths_with_key_id_and_headers() -> None:
    row = ("a", " 1.50 ", "7.0", "Yes", "2026-02-03", None, "2026-03-04 05:06")
    (event,) = events([row])
    assert json.loads(event.value) == {
        "id": "a",
        "body": {"size": 1.5, "count": 7},
        "is_new": True,
        "made_on": "2026-02-03",
        "at": "2026-03-04T05:06:00Z",
    }
    assert (event.row, event.key, event.error) == (1, b"a", None)
    assert dict(event.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"p:1",
        "ce_source": b"de_stack/replay",
        "ce_type": b"lab.things",
        "ce_time": b"2026-03-04T05:06:00Z",
        "content-type": b"application/json",
    }


def test_times_and_dates_move_together() -> None:
    (event,) = events([("a", "1", None, None, "2025-12-31", None, "2025-12-30T23:00:00Z")], 100)
    found = json.loads(event.value)
    assert (found["made_on"], found["at"]) == ("2026-04-10", "2026-04-09T23:00:00Z")


def test_a_time_that_cannot_be_moved_does_not_pass_unmoved() -> None:
    more = stream(*FIELDS, Field("until", ("until",), "timestamp"), key=("id",))
    mapping = Mapping({"id": "i", "size": "s", "until": "u", "at": "a"}, {}, ())
    (event,) = events([("a", "1", "9999-12-31T00:00:00Z", "2026-01-01")], 200, mapping, of=more)
    assert (event.error or "").startswith("wrong_type:until")


@pytest.mark.parametrize(
    ("column", "cell", "error"),
    [
        ("size", "hot", "wrong_type:body.size"),
        ("size", "NaN", "wrong_type:body.size"),
        ("size", "1e400", "wrong_type:body.size"),
        ("size", "1_000", "wrong_type:body.size"),
        ("size", "1,5", "wrong_type:body.size"),
        ("size", "101", "out_of_range:body.size"),
        ("size", None, "missing"),
        ("id", None, "missing:id"),
        ("count", "7.5", "wrong_type:body.count"),
        ("count", "9" * 25, "out_of_range:body.count"),
        ("is_new", "maybe", "wrong_type:is_new"),
        ("made_on", "yesterday", "wrong_type:made_on"),
        ("at", "20/03/2026", "wrong_type:at"),
        ("at", None, "missing:at"),
        ("at", "2025-12-31", "before_history:at"),
        ("at", "2026-11-26", "in_future:at"),
        ("id", "NUL\0", "out_of_range:id"),
        ("id", "byte \udcfc", "malformed"),
        ("id", [1], "wrong_type:id"),
    ],
)
def test_a_cell_that_is_wrong_goes_as_it_is_and_the_landing_refuses_it(column, cell, error) -> None:
    good = {"id": "a", "size": "1", "at": "2026-03-04"}
    row = [{**good, column: cell}.get(name) for name in ALL.columns]
    (event,) = events([row])
    assert (event.error or "").startswith(error), event.error
    assert "ce_time" not in dict(event.headers)
    if (
        isinstance(cell, str)
        and "\udcfc" not in cell
        and "\0" not in cell
        and not error.startswith("out")
    ):
        assert cell.encode() in event.value, "the raw text is in the message"
    assert len(events([row, row])) == 2


def test_what_is_no_row_goes_as_bytes_and_never_passes_for_an_event() -> None:
    looks_good = json.dumps({"id": "a", "body": {"size": 1}, "at": "2026-03-04T00:00:00Z"}).encode()
    found = events([b"1,2", looks_good, b"\xff"])
    assert [event.value for event in found] == [
        b"1,2",
        json.dumps(looks_good.decode()).encode(),
        b"\xff",
    ]
    assert all(event.error for event in found)
    assert [event.key for event in found] == [None] * 3


def test_ids_count_rows_from_one_and_tell_a_second_use_of_the_file() -> None:
    row = ("a", "1", None, None, None, None, "2026-03-04")
    prefix = id_prefix("f" * 64)
    assert prefix == "replay:" + "f" * 32 + ":"
    assert not id_prefix("f" * 64, "other").startswith(prefix)
    found = events([row, b"no row", row], prefix=prefix)
    assert [dict(e.headers)["ce_id"] for e in found] == [f"{prefix}{n}".encode() for n in (1, 2, 3)]


def test_a_stream_whose_id_is_another_header_gets_that_one_too() -> None:
    other = stream(*FIELDS, key=("id",), event_id="header:x-id")
    (event,) = events([("a", "1", None, None, None, None, "2026-03-04")], of=other)
    assert dict(event.headers)["x-id"] == dict(event.headers)["ce_id"] == b"p:1"


def test_a_row_that_is_larger_than_a_message_is_known_before_it_is_sent() -> None:
    rows = [("a" * size, "1", None, None, None, None, "2026-03-04") for size in (300_000, 999_990)]
    assert [event.is_sendable for event in events(rows)] == [True, False]


@pytest.mark.parametrize(
    ("convert", "cell", "found"),
    [
        (number, 3, 3),
        (number, True, True),
        (number, Decimal("1.5"), 1.5),
        (number, float("inf"), "inf"),
        (number, "+.5e1", 5.0),
        (number, "٣", "٣"),
        (integer, 7.0, 7),
        (integer, 7.5, 7.5),
        (integer, Decimal(7), 7),
        (integer, "-07", -7),
        (integer, float("nan"), "nan"),
        (boolean, 1, True),
        (boolean, "F", False),
        (boolean, 2, 2),
        (text, 7, "7"),
        (text, 1.5, "1.5"),
        (text, True, "true"),
        (text, " as is ", " as is "),
        (text, date(2026, 1, 2), "2026-01-02"),
        (plain, b"ab", "ab"),
        (plain, b"\xff", "ff"),
        (plain, {"a": 1}, {"a": 1}),
    ],
)
def test_values_of_typed_files(convert, cell, found) -> None:
    assert convert(cell) == found
    assert type(convert(cell)) is type(found)


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("Max_TemperatureC", "max_temperature_c"),
        ("Job Title", "job_title"),
        ("measuredAt", "measured_at"),
        ("HTTPStatus", "http_status"),
        ("Type of ownership", "type_of_ownership"),
        ("ID", "id"),
        ("a.b", "a_b"),
    ],
)
def test_snake_case(column, name) -> None:
    assert snake(column) == name


def test_columns_fill_fields_by_name_or_as_told() -> None:
    columns = ("Id", "body_size", "At", "other", "Is New")
    found = resolve(THINGS, columns, ["size=body_size"], ["kind=y", "count=3"], Times())
    assert found.columns == {"id": "Id", "size": "body_size", "is_new": "Is New", "at": "At"}
    assert found.by_name == ("id", "is_new", "at")
    assert found.constants == {"kind": "y", "count": 3}


def test_an_equal_name_wins_over_a_similar_one_and_two_similar_ones_are_asked() -> None:
    assert resolve(THINGS, ("ID", "id", "size", "at"), [], [], Times()).columns["id"] == "id"
    with pytest.raises(PermanentFailure, match="'ID' and 'Id' could both be it"):
        resolve(THINGS, ("ID", "Id", "size", "at"), [], [], Times())


@pytest.mark.parametrize(
    ("maps", "sets", "said"),
    [
        ([], [], "nothing fills size, at; the file's columns are: id, x"),
        ([], [], "--map size=COLUMN --map at=COLUMN"),
        (["size=y"], [], "no column 'y'.*one of: id, x"),
        (["sice=x"], [], "no field 'sice'.*one of: id, size, count"),
        (["size"], [], "write field=column"),
        (["size=x", "size=x"], [], "stands twice"),
        (["size=x"], ["size=1"], "both --map and --set"),
        ([], ["size=hot"], "'hot' is no number"),
        ([], ["count=7.5"], "is no integer"),
        ([], ["is_new=maybe"], "is no boolean"),
        ([], ["at=20/03/2026"], "is no timestamp"),
        ([], ["made_on=soon"], "is no date"),
        ([], ["kind=z"], "one of: x, y"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_said_with_the_names_there_are(maps, sets, said) -> None:
    with pytest.raises(PermanentFailure, match=said):
        resolve(THINGS, ("id", "x"), maps, sets, Times())


def test_a_constant_time_is_read_like_the_others_and_not_moved() -> None:
    times = Times("%d/%m/%Y")
    mapping = resolve(THINGS, ("id",), [], ["size=1", "at=20/03/2026", "made_on=1/2/2026"], times)
    (event,) = events([("a",)], 5, mapping, times=times)
    found = json.loads(event.value)
    assert (found["at"], found["made_on"]) == ("2026-03-20T00:00:00Z", "2026-02-01")


def test_the_digest_changes_with_what_decides_what_a_row_becomes() -> None:
    other = Mapping({**ALL.columns, "id": "x"}, {}, ())
    digests = [ALL.digest(form=None), ALL.digest(form="s"), other.digest(form=None)]
    assert len(set(digests)) == 3
    assert ALL.digest(form=None) == Mapping(
        dict(reversed(ALL.columns.items())), {}, ("id",)
    ).digest(form=None)


class Cells:
    columns, note = ("a", "b"), None

    def __init__(self, *rows: object) -> None:
        self._rows = rows

    def rows(self, wanted: object) -> list:
        return [r if isinstance(r, bytes) else [r] for r in self._rows]

    def fraction(self) -> float:
        return 1.0


def test_the_last_time_is_that_of_the_whole_file_whatever_its_order() -> None:
    cells = Cells("2026-01-02", "2026-01-05T01:00:00+02:00", None, b"no row", "soon", "2026-01-03")
    assert last_time(cells, "a", Times()) == datetime(2026, 1, 4, 23, tzinfo=UTC)
    assert last_time(Cells("x"), "a", Times()) is None

"""Dead letters as plain data: positions, errors, headers."""

import json
from datetime import UTC, datetime

import pytest

from de_stack.cli.dead_letters import _bytes, _of_file
from de_stack.contracts.envelope import REJECTED
from de_stack.failures import PermanentFailure
from de_stack.flow.letters import (
    REPLAY_OF,
    Letter,
    Position,
    as_bytes,
    pick,
    plain,
    readable,
    repeats,
    shown,
    source_of,
    split_error,
)
from de_stack.flow.replay import _headers as sent_again

ONE, TWO = Position("t", 0, 7), Position("t", 2, 9)


@pytest.mark.parametrize("position", [ONE, Position("A-b_c", 12, 2**62)])
def test_a_position_reads_back_as_it_was_written(position: Position) -> None:
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize("text", ["", "t", "t:1", "t:1:x", ":1:2", "t:-1:2", "t:1:2:3", "t:١:2"])
def test_what_is_no_position_names_no_letter(text: str) -> None:
    assert Position.parse(text) is None
    assert repeats([(REPLAY_OF, text.encode())]) == []


def test_an_error_splits_into_code_field_and_reason() -> None:
    assert split_error("wrong_type:a.b: Expected `int`: got `str`") == (
        "wrong_type",
        "a.b",
        "Expected `int`: got `str`",
    )
    assert split_error("malformed:: trailing: bytes") == ("malformed", None, "trailing: bytes")


def test_a_message_names_all_letters_that_it_repeats_first_attempt_first() -> None:
    headers = [
        ("ce_id", b"e"),
        (REPLAY_OF, str(ONE).encode()),
        (REPLAY_OF, b"\xff"),
        (REPLAY_OF, None),
        (REPLAY_OF, str(TWO).encode()),
    ]
    assert repeats(headers) == [ONE, TWO]


def test_the_headers_say_who_refused_a_message_and_a_replay_does_not_repeat_it() -> None:
    headers = [("ce_id", b"e"), (REJECTED, b"1.0.0 wrong_type:value: hot"), (REPLAY_OF, b"t:0:7")]
    assert (source_of(headers), source_of(headers[:1])) == ("http", "kafka")
    letter = Letter(ONE, datetime.now(UTC), "e", "wrong_type", None, "", None, headers, b"", "1")
    assert sent_again(letter) == [headers[0], headers[2]]


def test_headers_come_back_from_json_as_the_bytes_that_they_were() -> None:
    headers = [("a", b"text"), ("a", "ü".encode()), ("b", b"\xff\x00"), ("c", b"a\0b")]
    headers += [("d", b""), ("e", None)]
    assert as_bytes(json.loads(json.dumps(readable(headers)))) == headers
    assert "\\u0000" not in json.dumps(readable(headers))


def test_bytes_are_shown_as_text_where_they_are_text() -> None:
    assert [shown(v) for v in (b"{}", b"\xff", b"", None)] == ["{}", "hex:ff", "", None]


def test_bytes_in_json_are_never_taken_for_others() -> None:
    given = [b"\xff\xfe", b"hex:fffe", b"fffe", b"a\0", b"", None]
    made = [plain("value", value) for value in given]
    assert made[:2] == [
        {"value": None, "value_hex": "fffe"},
        {"value": "hex:fffe", "value_hex": None},
    ]
    assert [_bytes(json.loads(json.dumps(one))) for one in made] == given


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"partition": 0, "offset": 7}', "KeyError: 'value'"),
        ('{"partition": 0, "offset": 7, "value": "a", "value_hex": "61"}', "both"),
        ('{"partition": 0, "offset": 7, "value": {"a": 1}}', "value is a dict"),
        ('{"partition": 0, "offset": 7, "value_hex": "fff"}', "non-hexadecimal"),
        ('{"partition": 0, "offset": 7, "value": "\\ud800"}', "surrogates not allowed"),
        ('[{"partition": 0}]', "TypeError"),
        ("{", "JSONDecodeError"),
    ],
)
def test_a_line_of_a_mended_file_that_is_not_understood_refuses_the_file(
    tmp_path, line, said
) -> None:
    file = tmp_path / "mended.ndjson"
    file.write_text(f'{{"partition": 2, "offset": 9, "value": "x"}}\n\n{line}\n')
    with pytest.raises(PermanentFailure, match=said) as caught:
        _of_file(file, [ONE, TWO])
    assert caught.value.tried == f"read line 3 of {file}"


def test_a_mended_file_names_the_topic_where_two_have_such_a_letter(tmp_path) -> None:
    known, file = [ONE, Position("u", 0, 7)], tmp_path / "mended.ndjson"
    line = {"partition": 0, "offset": 7, "value": None, "value_hex": None}
    file.write_text("\n".join(json.dumps({"topic_id": i, **line}) for i in ("u", "t")))
    assert _of_file(file, known) == dict.fromkeys(known)
    file.write_text(json.dumps({"topic_id": None, **line}))
    with pytest.raises(PermanentFailure, match="made anew"):
        _of_file(file, known)


def test_a_place_that_two_topics_have_needs_the_topics_id() -> None:
    other = Position("u", 0, 7)
    assert pick([ONE, TWO], "0:7") == ONE
    assert pick([ONE, other], "u:0:7") == other
    with pytest.raises(PermanentFailure, match="made anew"):
        pick([ONE, other], "0:7")
    with pytest.raises(PermanentFailure, match="no such letter"):
        pick([ONE], "0:8")

"""Reading contracts. Belongs here: the real contract as it stands, and every way to break one."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given as fuzzed
from hypothesis import settings
from hypothesis import strategies as st

from de_stack.contracts import ContractError, load_all, load_file, load_stream
from de_stack.contracts.day_files import load_all_day_files
from de_stack.contracts.decode import decoder_for
from de_stack.contracts.fields import RESERVED
from de_stack.contracts.load import DEFS
from de_stack.contracts.model import Window
from de_stack.failures import PermanentFailure
from de_stack.flow.refine import IDENTITY
from de_stack_tests.streams import contract, write_contract

Node = dict[str, Any]


def prop(c: Node, name: str = "size") -> Node:
    return next(p for p in c["schema"][0]["properties"] if p["name"] == name)


def words(c: Node) -> Node:
    return c["customProperties"][0]["value"]["things"]


def test_the_real_contract_says_what_we_build_on() -> None:
    stream = load_stream("telemetry.measures")
    assert [(f.name, f.type, f.required) for f in stream.fields] == [
        ("source_id", "string", True),
        ("metric", "string", True),
        ("value", "number", True),
        ("measured_at", "timestamp", True),
    ]
    assert (stream.key, stream.event_id, stream.event_time) == (
        ("source_id",),
        "header:ce_id",
        "measured_at",
    )
    assert stream.history_start == datetime(2026, 1, 1, tzinfo=UTC)
    assert (stream.allowed_lateness, stream.look_back, stream.max_future) == (
        timedelta(minutes=10),
        timedelta(days=3),
        timedelta(minutes=5),
    )
    assert (stream.retention, stream.freshness) == (timedelta(days=7), timedelta(hours=2))
    assert (stream.grain, stream.partitions, stream.team) == ("hour", 3, "telemetry-platform")


def test_all_contracts_in_the_tree_are_found_under_their_names() -> None:
    assert load_all()["telemetry.measures"] is load_stream("telemetry.measures")
    folders = {p.parent.name for p in DEFS.glob("*/contract.odcs.yaml")}
    assert {s.domain for s in load_all().values()} | load_all_day_files().keys() == folders


def test_every_contract_in_the_tree_has_a_decoder() -> None:
    for stream in load_all().values():
        assert decoder_for(stream)(None, datetime(2026, 5, 1, tzinfo=UTC)).code == "tombstone"


def test_an_unknown_stream_is_named_with_those_that_are_known() -> None:
    with pytest.raises(
        PermanentFailure, match=r"telemetry\.measure'.*one of: .*telemetry\.measures"
    ):
        load_stream("telemetry.measure")


def test_a_small_contract_is_right_before_it_is_broken(tmp_path: Path) -> None:
    (stream,) = load_file(write_contract(tmp_path, contract()))
    assert stream.name == "lab.things"
    assert stream.field("size").required is False
    assert (stream.error_rate, stream.error_rate_window) == (0.01, timedelta(days=1))


def test_an_envelope_says_where_each_field_may_sit(tmp_path: Path) -> None:
    broken = contract()
    envelope(fields={"at": "body.t", "id": ["host.ip", "host"]}, defaults={"id": "x"})(broken)
    (stream,) = load_file(write_contract(tmp_path, broken))
    (found,) = stream.envelopes
    assert found.paths == {"at": (("body", "t"),), "id": (("host", "ip"), ("host",))}
    assert (found.name, found.defaults) == ("e", {"id": "x"})


def test_the_reserved_names_are_the_columns_that_every_silver_table_has() -> None:
    assert {name for name, _, _ in IDENTITY} == RESERVED


def change(**values: Any) -> Callable[[Node], None]:
    return lambda c: c.update(values)


def change_word(word: str, value: Any) -> Callable[[Node], None]:
    return lambda c: words(c).update({word: value})


def change_prop(name: str = "size", /, **values: Any) -> Callable[[Node], None]:
    return lambda c: prop(c, name).update(values)


def options(kind: str, **values: Any) -> Callable[[Node], None]:
    return change_prop(logicalType=kind, logicalTypeOptions=values)


def change_sla(word: str, **values: Any) -> Callable[[Node], None]:
    return lambda c: next(s for s in c["slaProperties"] if s["property"] == word).update(values)


def add_sla(word: str, **values: Any) -> Callable[[Node], None]:
    return lambda c: c["slaProperties"].append({"property": word, "element": "things", **values})


def add_prop(**values: Any) -> Callable[[Node], None]:
    return lambda c: c["schema"][0]["properties"].append(values)


def envelope(**values: Any) -> Callable[[Node], None]:
    right = {"name": "e", "fields": {"at": "t", "id": "i"}}
    return change_word("envelopes", [right | values])


def twice(*places: Callable[[Node], None]) -> Callable[[Node], None]:
    def both(c: Node) -> None:
        for place in places:
            place(c)

    return both


# Words of a stream that may be missing.
OPTIONAL = {"generatorRatePerSecond", "accountedIn", "errorRateWindow"}
OUR_FORMS = ("csvLine", "topicVersion", "windows", "watermark")


def window(**values: Any) -> Callable[[Node], None]:
    right = {"name": "10s_5s", "length": "PT10S", "slide": "PT5S"}
    found = {k: v for k, v in (right | values).items() if v is not ...}
    return change_word("windows", [found])


BROKEN: list[tuple[str, Callable[[Node], Any], str, str]] = [
    # ODCS itself: unknown words and wrong types
    ("unknown word at the top", change(verzion="1"), "file", "verzion"),
    ("unknown word of a stream", lambda c: c["schema"][0].update(entitty=1), "things", "entitty"),
    ("unknown word of a field", change_prop(requird=True), "size", "requird"),
    ("required is a text", change_prop(required="yes"), "size.required", "yes"),
    ("unknown option", options("number", minimun=0), "size", "minimun"),
    ("no version", lambda c: c.pop("version"), "file", "version"),
    ("no kind", lambda c: c.pop("kind"), "file", "kind"),
    ("another kind", change(kind="Contract"), "kind", "Contract"),
    ("another standard", change(apiVersion="v9.0.0"), "apiVersion", "v9.0.0"),
    ("schema is a mapping", change(schema={}), "schema", "array"),
    ("a field without a name", add_prop(logicalType="string"), "properties", "name"),
    # names
    ("no domain", lambda c: c.pop("domain"), "schema.things", "domain"),
    ("domain with a dash", change(domain="my-lab"), "schema.things", "domain 'my-lab'"),
    ("domain with a line end", change(domain="lab\n"), "schema.things", "domain 'lab\\n'"),
    ("field in upper case", add_prop(name="Size", logicalType="number"), "things.Size", "a-z"),
    ("a reserved name", add_prop(name="offset", logicalType="integer"), "offset", "every table"),
    # fields
    ("no field", lambda c: c["schema"][0].pop("properties"), "schema.things", "no properties"),
    ("a field twice", add_prop(name="size", logicalType="number"), "things.size", "twice"),
    ("no type", lambda c: prop(c).pop("logicalType"), "properties.size", "logicalType is missing"),
    ("a type that we cannot", change_prop(logicalType="array"), "things.size", "'array'"),
    ("a nested object", change_prop(logicalType="object"), "things.size", "'object'"),
    ("nested fields", change_prop(properties=[{"name": "x"}]), "size", "'properties'"),
    ("unique", change_prop(unique=True), "size.unique", "not checked"),
    (
        "quality of a field",
        change_prop(quality=[{"type": "text", "description": "good"}]),
        "size.quality",
        "not checked",
    ),
    (
        "quality of a stream",
        lambda c: c["schema"][0].update(quality=[{"type": "text", "description": "good"}]),
        "things.quality",
        "not checked",
    ),
    (
        "unknown property of a field",
        change_prop(customProperties=[{"property": "unti", "value": "m"}]),
        "size.customProperties",
        "unti",
    ),
    (
        "a generator that is a text",
        change_prop(customProperties=[{"property": "generator", "value": "walk"}]),
        "size.customProperties.generator",
        "mapping",
    ),
    ("an option that we do not check", options("number", multipleOf=2), "size", "multipleOf"),
    ("a bound of a time", options("timestamp", minimum="2026"), "size", "not checked"),
    ("bounds the wrong way round", options("number", minimum=2, maximum=1), "size", "above"),
    ("lengths the wrong way", options("string", minLength=2, maxLength=1), "size", "above"),
    ("a bound that is no number", options("number", minimum=float("nan")), "size", "finite"),
    ("an endless bound", options("number", maximum=float("inf")), "size", "finite"),
    ("half an integer", options("integer", minimum=0.5), "size", "64-bit"),
    ("a large integer", options("integer", maximum=2**63), "size", "64-bit"),
    ("a broken pattern", options("string", pattern="("), "size", "pattern"),
    ("a list for a number", change_prop(enum=[{"value": 1}]), "size.enum", "string"),
    (
        "a list of numbers",
        change_prop(logicalType="string", enum=[{"value": 1}]),
        "size.enum",
        "quote them",
    ),
    (
        "a list and a length",
        change_prop(
            logicalType="string", enum=[{"value": "a"}], logicalTypeOptions={"minLength": 1}
        ),
        "size.enum",
        "logicalTypeOptions",
    ),
    (
        "a value twice",
        change_prop(logicalType="string", enum=[{"value": "a"}, {"value": "a", "label": "A"}]),
        "size.enum",
        "twice",
    ),
    # places in the message
    ("an empty part", change_prop(physicalName="a..b"), "size.physicalName", "empty"),
    ("a dot at the end", change_prop(physicalName="a."), "size.physicalName", "empty"),
    ("a quote", change_prop(physicalName='a"b'), "size.physicalName", "quotes"),
    ("a backslash", change_prop(physicalName="a\\b"), "size.physicalName", "backslash"),
    (
        "the place of another",
        change_prop(physicalName="id"),
        "size.physicalName",
        "in the way of id",
    ),
    ("below another", change_prop(physicalName="id.size"), "size.physicalName", "way of id"),
    ("above another", change_prop("at", physicalName="size"), "at.physicalName", "way of size"),
    # other forms
    ("an envelope that is none", change_word("envelopes", ["x"]), "envelopes.0", "mapping"),
    ("one envelope", change_word("envelopes", {"name": "x"}), "envelopes", "list"),
    ("an unknown word", envelope(feilds={}), "envelopes.0", "feilds"),
    ("an unknown field", envelope(fields={"sise": "x"}), "envelopes.0", "sise"),
    ("an empty part of a path", envelope(fields={"at": "a..b"}), "fields.at", "a..b"),
    ("no path", envelope(fields={"at": []}), "fields.at", "path"),
    ("no event time", envelope(fields={"id": "x"}, defaults={"at": "x"}), "defaults.at", "texts"),
    ("no path of the event time", envelope(fields={"id": "x"}), "fields", "the event time"),
    ("a field left out", envelope(fields={"at": "t"}), "fields", "needs id"),
    ("a default that is a number", envelope(defaults={"id": 1}), "defaults.id", "texts"),
    (
        "two envelopes of one name",
        change_word("envelopes", [{"name": "e", "fields": {"at": "t", "id": "i"}}] * 2),
        "envelopes.1.name",
        "twice",
    ),
    # key
    ("no key", change_prop("id", primaryKey=False), "schema.things", "primaryKey"),
    ("an optional key", change_prop("id", required=False), "things.id", "required"),
    ("a key without a number", change_prop("id", primaryKeyPosition=-1), "things", "1, 2"),
    (
        "two keys with one number",
        change_prop("at", primaryKey=True, primaryKeyPosition=1),
        "things",
        "1, 2",
    ),
    # who answers for it
    ("no team", lambda c: c.pop("team"), "team", "owner"),
    ("no owner", lambda c: c["team"]["members"][0].update(role="guest"), "team", "owner"),
    (
        "an owner without address",
        lambda c: c["team"]["members"][0].update(username="me"),
        "team",
        "'me'",
    ),
    # promises
    ("no retention", lambda c: c["slaProperties"].pop(0), "slaProperties", "no retention"),
    ("of another stream", change_sla("retention", element="x"), "slaProperties", "no retention"),
    (
        "freshness twice",
        lambda c: c["slaProperties"].append({**c["slaProperties"][1], "value": 3}),
        "slaProperties",
        "2 freshness",
    ),
    *(
        (f"retention of {value!r}", change_sla("retention", value=value), "retention", str(value))
        for value in (0, -1, "7", True, None, float("nan"), float("inf"), 1e30)
    ),
    *(
        (
            f"an error rate of {value!r} {unit!r}",
            add_sla("errorRate", value=value, unit=unit),
            "slaProperties.errorRate",
            f"value {value!r} {unit!r}",
        )
        for value, unit in (
            (-1, "percent"),
            (100.5, "percent"),
            ("1", "percent"),
            (True, "percent"),
            (float("nan"), "percent"),
            (1, "h"),
        )
    ),
    (
        "an error rate without unit",
        add_sla("errorRate", value=1),
        "slaProperties.errorRate",
        "value 1 None",
    ),
    (
        "two error rates",
        twice(*[add_sla("errorRate", value=1, unit="percent")] * 2),
        "slaProperties",
        "2 errorRate",
    ),
    (
        "an error rate of nobody",
        add_sla("errorRate", value=1, unit="percent", element="thing"),
        "slaProperties.errorRate",
        "'thing' is no stream",
    ),
    *(
        (f"a window of {value!r}", change_word("errorRateWindow", value), "errorRateWindow", said)
        for value, said in (("24h", "'24h'"), (24, "24"), (None, "None"), ("PT0S", "no time"))
    ),
    ("retention in weeks", change_sla("retention", unit="w"), "retention", "'w'"),
    # our own words
    ("no words", lambda c: c.pop("customProperties"), "customProperties", "streams"),
    (
        "words of somebody else",
        lambda c: c["customProperties"].append({"property": "stream", "value": {}}),
        "customProperties",
        "stream",
    ),
    (
        "words twice",
        lambda c: c["customProperties"].append(c["customProperties"][0]),
        "customProperties",
        "once",
    ),
    (
        "words that are a list",
        lambda c: c["customProperties"][0].update(value=[]),
        "customProperties.streams",
        "mapping",
    ),
    (
        "words of a stream that is not there",
        lambda c: c["customProperties"][0]["value"].update(thing={}),
        "customProperties.streams",
        "thing",
    ),
    (
        "a stream without words",
        lambda c: c["customProperties"][0].update(value={}),
        "customProperties.streams",
        "things",
    ),
    (
        "a stream whose words are a text",
        lambda c: c["customProperties"][0].update(value={"things": "x"}),
        "streams.things",
        "mapping",
    ),
    ("a stream twice", lambda c: c["schema"].append(c["schema"][0]), "schema.things", "twice"),
    (
        "no stream",
        lambda c: (c.pop("schema"), c["customProperties"][0].update(value={})),
        "schema",
        "no stream",
    ),
    ("an unknown word", change_word("lookback", "P3D"), "streams.things", "lookback"),
    *(
        (f"no {word}", lambda c, word=word: words(c).pop(word), f"things.{word}", "missing")
        for word in contract()["customProperties"][0]["value"]["things"]
        if word not in OPTIONAL
    ),
    ("another wire format", change_word("wireFormat", "avro"), "wireFormat", "avro"),
    ("another grain", change_word("grain", "week"), "grain", "week"),
    ("a grain that is a list", change_word("grain", ["hour"]), "grain", "hour"),
    ("no partition", change_word("topicPartitions", 0), "topicPartitions", "0"),
    ("half a partition", change_word("topicPartitions", 1.5), "topicPartitions", "whole"),
    ("partitions as a text", change_word("topicPartitions", "3"), "topicPartitions", "'3'"),
    ("partitions as a truth", change_word("topicPartitions", True), "topicPartitions", "True"),
    ("an account nowhere", change_word("accountedIn", "stats"), "accountedIn", "table.column"),
    ("an account in no table", change_word("accountedIn", "x.count"), "accountedIn", "layer"),
    ("dbt reads no table", change_word("dbtReads", ["x"]), "dbtReads", "layer"),
    ("dbt reads a number", change_word("dbtReads", [1]), "dbtReads", "layer"),
    ("dbt reads twice", change_word("dbtReads", ["gold_x", "gold_x"]), "dbtReads", "twice"),
    ("a rate of zero", change_word("generatorRatePerSecond", 0), "generatorRatePerSecond", "0"),
    (
        "a rate that is no number",
        change_word("generatorRatePerSecond", float("nan")),
        "Rate",
        "nan",
    ),
    *(
        (f"duration {value!r}", change_word("lookBack", value), "things.lookBack", "ISO-8601")
        for value in (
            "",
            "P",
            "PT",
            "3D",
            "P3",
            "P3H",
            "PT1D",
            "P1M",
            "P1W",
            "PT1.5H",
            "P-1D",
            "pt1h",
            3,
            None,
            "PT5M\n",
            "P٣D",
        )
    ),
    *(
        (f"duration {value!r}", change_word("maxFutureSkew", value), "maxFutureSkew", "longer")
        for value in ("P366000D", "P9999999999D", f"PT{'9' * 5000}S")
    ),
    *(
        (f"start {value!r}", change_word("historyStart", value), "historyStart", reason)
        for value, reason in (
            ("yesterday", "ISO-8601"),
            (None, "ISO-8601"),
            ("2026-01-01T00:00:00", "no time zone"),
            ("2026-01-01", "no time zone"),
            ("2026-01-01T00:30:00Z", "full hour"),
            ("2026-01-01T00:00:00+05:30", "full hour"),
            ("0001-01-01T00:00:00+10:00", "year"),
        )
    ),
    (
        "days that start in the morning",
        twice(change_word("grain", "day"), change_word("historyStart", "2026-01-01T05:00:00Z")),
        "historyStart",
        "start of a day",
    ),
    ("an event time that is not there", change_word("eventTime", "when"), "eventTime", "timestamp"),
    ("an event time that is none", change_word("eventTime", "size"), "eventTime", "timestamp"),
    ("an optional event time", change_prop("at", required=False), "eventTime", "required"),
    *(
        (f"event id {value!r}", change_word("eventId", value), "things.eventId", "header:<name>")
        for value in ("ce_id", "header:", "field:", "field:none", "field:size", "key:id", ":")
    ),
    # lines of CSV
    *(
        (f"a line that is {value!r}", change_word("csvLine", value), "things.csvLine", "not a list")
        for value in ("id,at", 2, None, {"id": 1})
    ),
    *(
        (f"a cell {cell!r}", change_word("csvLine", ["id", "at", cell]), "csvLine", "no field")
        for cell in ("Size", "", "size ", 3, True, ["size"], {"size": 1}, float("nan"))
    ),
    (
        "a cell twice",
        change_word("csvLine", ["id", "at", "size", "id"]),
        "csvLine",
        "id stands twi",
    ),
    ("a line without a key", change_word("csvLine", [None, "at"]), "csvLine", "needs id"),
    ("a line of nothing known", change_word("csvLine", [None]), "csvLine", "needs id, at"),
    (
        "a line of one cell",
        twice(
            lambda c: c["schema"][0].update(properties=[prop(c, "at")]),
            change_prop("at", primaryKey=True, primaryKeyPosition=1),
            change_word("csvLine", ["at"]),
        ),
        "csvLine",
        "at least two",
    ),
    # versions of topics
    *(
        (f"version {value!r}", change_word("topicVersion", value), "things.topicVersion", said)
        for value, said in (
            (0, "from 1 to 999"),
            (1000, "from 1 to 999"),
            (-1, "from 1"),
            ("1", "'1'"),
            ("v1", "'v1'"),
            (1.5, "whole"),
            (True, "True"),
            (None, "None"),
            ([1], "[1]"),
        )
    ),
    # windows
    *(
        (f"windows {value!r}", change_word("windows", value), "things.windows", "not a list")
        for value in ("10s", {"name": "10s"}, None, 3)
    ),
    ("a window that is a text", change_word("windows", ["10s"]), "windows.0", "not a mapping"),
    ("an unknown word of a window", window(size="PT1S"), "windows.0", "unknown: size"),
    ("a window without a name", window(name=...), "windows.0.name", "missing"),
    ("a window without a length", window(length=...), "windows.0.length", "missing"),
    *(
        (f"a window called {name!r}", window(name=name), "windows.0.name", repr(name)[1:-1])
        for name in ("", "10 s", "10-5", "S", "a\n", 10, None, ["a"])
    ),
    ("a length of a word", window(length="10s"), "windows.0.length", "ISO-8601"),
    ("a slide of a number", window(slide=5), "windows.0.slide", "ISO-8601"),
    ("no length at all", window(length="PT0S", slide=...), "windows.0", "above 0"),
    ("no slide at all", window(slide="PT0S"), "windows.0", "above 0"),
    ("windows with gaps", window(slide="PT11S"), "windows.0", "at most the length"),
    ("too many of a moment", window(length="PT1001S", slide="PT1S"), "windows.0", "at most 1000"),
    (
        "two windows of one name",
        change_word("windows", [{"name": "a", "length": f"PT{n}S"} for n in (1, 2)]),
        "windows.1.name",
        "twice",
    ),
    # how long rows are waited for
    *(
        (f"watermark {value!r}", change_word("watermark", value), "things.watermark", "ISO-8601")
        for value in ("5s", 5, None, "", "PT-5S", ["PT5S"])
    ),
    ("an endless watermark", change_word("watermark", "P366000D"), "watermark", "longer"),
    ("an event id that is a number", change_word("eventId", 5), "things.eventId", "5"),
]


@pytest.mark.parametrize(
    ("breaks", "field", "reason"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_a_broken_contract_is_refused_with_file_field_and_reason(
    tmp_path: Path, breaks: Callable[[Node], Any], field: str, reason: str
) -> None:
    broken = contract()
    breaks(broken)
    path = write_contract(tmp_path, broken)
    with pytest.raises(ContractError) as caught:
        load_file(path)
    assert field in caught.value.where
    assert reason in caught.value.reason
    assert str(path) in str(caught.value)
    assert "a retry cannot help" in str(caught.value)


TEXTS = [
    ("empty", "", "not a mapping"),
    ("a list", "- 1", "not a mapping"),
    ("not YAML", "a: [", "YAML"),
    ("a key twice", yaml.safe_dump(contract()) + "\ndomain: other\n", "'domain' stands twice"),
    ("a key twice further down", "a:\n  - b: 1\n    b: 2\n", "'b' stands twice"),
    ("a key that YAML takes for a truth", "on: 1\n", "True is not a text"),
    ("a key that is a date", "2026-01-01: 1\n", "is not a text"),
    ("a key that is a list", "? [a]\n: 1\n", "is not a text"),
    ("Python", "!!python/object/apply:os.getcwd []", "YAML"),
    ("nested without end", "[" * 1500, "YAML"),
]


@pytest.mark.parametrize(("text", "reason"), [t[1:] for t in TEXTS], ids=[t[0] for t in TEXTS])
def test_a_file_that_is_no_contract_at_all_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ContractError) as caught:
        load_file(write_contract(tmp_path, text))
    assert reason in caught.value.reason


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "contract.odcs.yaml"
    with pytest.raises(ContractError, match="not readable"):
        load_file(path)
    path.write_bytes(b"domain: \xff\n")
    with pytest.raises(ContractError, match="not readable"):
        load_file(path)


def test_a_contract_in_the_folder_of_another_domain_is_refused(tmp_path: Path) -> None:
    folder = write_contract(tmp_path, contract()).parent
    assert set(load_all.__wrapped__(tmp_path)) == {"lab.things"}
    folder.rename(tmp_path / "weather")
    with pytest.raises(ContractError, match="folder's name 'weather'"):
        load_all.__wrapped__(tmp_path)


GOOD = [
    (
        "days",
        twice(change_word("grain", "day"), change_word("historyStart", "2026-01-01T00:00:00Z")),
    ),
    (
        "a time that YAML reads as one",
        change_word("historyStart", datetime(2026, 1, 1, 5, tzinfo=UTC)),
    ),
    ("another zone", change_word("historyStart", "2026-01-01T05:00:00+05:00")),
    ("no lateness", change_word("allowedLateness", "PT0S")),
    ("a field's id", change_word("eventId", "field:id")),
    (
        "other promises",
        lambda c: c["slaProperties"].append({"property": "support", "value": "9-5"}),
    ),
    ("a list of values", change_prop(logicalType="string", enum=[{"value": "a"}, {"value": "b"}])),
    ("a dotted place", change_prop(physicalName="body.size")),
    ("side by side", twice(change_prop(physicalName="a.b"), change_prop("at", physicalName="a.c"))),
    ("a key of two", change_prop("at", primaryKey=True, primaryKeyPosition=2)),
    ("not unique", change_prop(unique=False)),
]


@pytest.mark.parametrize("changes", [g[1] for g in GOOD], ids=[g[0] for g in GOOD])
def test_what_is_allowed_passes_and_can_be_decoded(
    tmp_path: Path, changes: Callable[[Node], Any]
) -> None:
    good = contract()
    changes(good)
    (stream,) = load_file(write_contract(tmp_path, good))
    assert decoder_for(stream)(b"{}", datetime(2026, 5, 1, tzinfo=UTC)).code == "missing"


@pytest.mark.parametrize(("value", "share"), [(0, 0.0), (2.5, 0.025), (100, 1.0)])
def test_an_error_rate_is_percent_over_a_window(tmp_path: Path, value: float, share: float) -> None:
    content = contract()
    add_sla("errorRate", value=value, unit="percent")(content)
    change_word("errorRateWindow", "PT6H")(content)
    (stream,) = load_file(write_contract(tmp_path, content))
    assert (stream.error_rate, stream.error_rate_window) == (share, timedelta(hours=6))


def test_a_stream_without_a_rate_is_not_made_by_the_generators_service(tmp_path: Path) -> None:
    given = contract()
    del words(given)["generatorRatePerSecond"]
    (stream,) = load_file(write_contract(tmp_path, given))
    assert stream.generator_rate is None


def test_the_forms_of_a_stream_are_what_its_file_says(tmp_path: Path) -> None:
    given = contract()
    (plain,) = load_file(write_contract(tmp_path, given))
    assert (plain.csv_line, plain.topic_version, plain.windows) == ((), None, ())
    assert (plain.watermark, plain.topic) == (timedelta(0), ("lab", "things", None))
    words(given).update(
        csvLine=["id", None, "at", None],
        topicVersion=999,
        windows=[{"name": "6s", "length": "PT6S"}, {"name": "d", "length": "P1D", "slide": "PT2M"}],
        watermark="PT1M30S",
    )
    (stream,) = load_file(write_contract(tmp_path, given))
    assert stream.csv_line == ("id", None, "at", None)
    assert stream.topic == ("lab", "things", 999)
    six, two = timedelta(seconds=6), timedelta(minutes=2)
    assert stream.windows == (Window("6s", six, six), Window("d", timedelta(days=1), two))
    assert stream.watermark == timedelta(seconds=90)


YAMLS = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 1002),
        st.floats(),
        st.dates(),
        st.sampled_from(["id", "size", "at", "PT5S", "PT0S", "P1D", "name", "length", "slide"]),
        st.text(max_size=5),
    ),
    lambda below: (
        st.lists(below, max_size=5)
        | st.dictionaries(
            st.sampled_from(["name", "length", "slide", "id"]) | st.text(max_size=3),
            below,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@fuzzed(st.dictionaries(st.sampled_from(OUR_FORMS), YAMLS, min_size=1))
def test_whatever_stands_there_is_read_or_refused_by_name(values: dict[str, Any]) -> None:
    given = contract()
    words(given).update(values)
    with tempfile.TemporaryDirectory() as folder:
        where = "file"
        try:
            load_file(write_contract(Path(folder), given))
        except ContractError as error:
            where = error.where
        assert where == "file" or any(word in where for word in values)


def test_the_order_of_a_key_is_its_numbers_and_not_the_files(tmp_path: Path) -> None:
    content = contract()
    prop(content, "id")["primaryKeyPosition"] = 2
    prop(content, "at").update(primaryKey=True, primaryKeyPosition=1)
    (stream,) = load_file(write_contract(tmp_path, content))
    assert stream.key == ("at", "id")

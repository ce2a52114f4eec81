"""The grammar of names. Belongs here: what may be a name, and that names never collide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_stack import naming
from de_stack.naming import LAYERS, Names

WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True)
BAD = ["", "A", "a-b", "a.b", "a b", "1a", "_a", "é", "a\n", "\na", "a" * 41, "a/b", 'a"b', "a\0"]


@given(WORDS)
def test_a_word_is_itself(value: str) -> None:
    assert naming.word(value, "domain") == value


@pytest.mark.parametrize("value", BAD)
def test_what_would_not_fit_every_system_is_no_word(value: str) -> None:
    with pytest.raises(ValueError, match="domain .*use a-z"):
        naming.word(value, "domain")
    with pytest.raises(ValueError, match="use a-z"):
        naming.asset_key("lab", "silver", value)
    if value:
        with pytest.raises(ValueError, match="namespace"):
            Names(value)


def test_a_namespace_leaves_room_for_a_domain() -> None:
    Names("a" * 22)
    with pytest.raises(ValueError, match="at most 22"):
        Names("a" * 23)


def test_names_read_as_the_docs_say() -> None:
    assert naming.asset_key("lab", "silver", "things") == ["lab", "silver_things"]
    assert naming.stream_name("lab", "things") == "lab.things"
    plain, mine = Names(), Names("mine")
    assert (plain.topic("lab", "things"), mine.topic("lab", "things")) == (
        "lab.things",
        "mine.lab.things",
    )
    assert plain.table_id("lab", "silver", "things") == "lab.silver_things"
    assert mine.table_id("lab", "silver", "things") == "mine.lab.silver_things"
    assert plain.lake_uri("/lake/", "lab", "silver", "things") == "/lake/lab/silver_things"
    assert mine.lake_uri("s3://b/l", "lab", "silver", "things") == "s3://b/l/mine/lab/silver_things"
    assert (plain.schema("lab"), mine.schema("lab")) == ("lab", "mine_lab")


def test_an_unknown_layer_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="'platinum' is not one of topic, bronze, silver"):
        naming.asset_name("platinum", "things")


@given(st.sampled_from(LAYERS), WORDS)
def test_the_name_of_an_asset_can_be_split_again(layer: str, entity: str) -> None:
    assert naming.split_asset(naming.asset_name(layer, entity)) == (layer, entity)


@pytest.mark.parametrize("name", ["", "silver", "silver_", "gilded_things", "_delta_log"])
def test_what_is_no_asset_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not one of|use a-z"):
        naming.split_asset(name)


@pytest.mark.parametrize("namespace", ["", "alice"])
def test_a_namespace_owns_its_tables_and_no_others(namespace: str) -> None:
    names = Names(namespace)
    assert names.owns(names.table_id("lab", "silver", "things"))
    other = Names("bob" if namespace else "alice")
    assert not names.owns(other.table_id("lab", "silver", "things"))
    assert not names.owns("nonsense")
    assert not names.owns(names.table_id("lab", "silver", "things") + ".more")


@given(
    st.lists(st.tuples(WORDS, st.sampled_from(LAYERS), WORDS), min_size=2, max_size=2, unique=True)
)
def test_two_assets_of_a_namespace_never_share_a_name(assets: list[tuple[str, str, str]]) -> None:
    one, other = assets
    for names in (Names(), Names("mine")):
        assert names.table_id(*one) != names.table_id(*other)
        assert names.lake_uri("/lake", *one) != names.lake_uri("/lake", *other)


@given(WORDS, WORDS, WORDS, WORDS)
def test_two_namespaces_never_share_a_topic_or_a_table(
    one: str, other: str, domain: str, entity: str
) -> None:
    one, other = one[:22], other[:22]
    if one == other:
        return
    assert Names(one).topic(domain, entity) != Names(other).topic(domain, entity)
    assert Names(one).schema(domain) != Names(other).schema(domain)
    for names in (Names(), Names(other)):
        assert Names(one).table_id(domain, "silver", entity) != names.table_id(
            domain, "silver", entity
        )


@given(WORDS, WORDS, WORDS)
def test_names_fit_the_systems_that_bear_them(namespace: str, domain: str, entity: str) -> None:
    names = Names(namespace[:22])
    # Kafka takes 249 characters, a folder 255, Postgres 63 and cuts the rest off in silence.
    assert len(names.topic(domain, entity)) <= 249
    assert len(names.schema(domain)) <= 63
    assert all(len(naming.asset_name(layer, entity)) <= 63 for layer in LAYERS)

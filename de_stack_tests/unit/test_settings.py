"""Where settings come from. Belongs here: environments and state files; nothing runs."""

import json
import os
import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from de_stack.failures import PermanentFailure
from de_stack.setting_sources import ADDRESSES, ELSEWHERE, STICKY, default_home, read_state
from de_stack.settings import Settings

SECRET = "s3cret-of-the-test"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and an environment that knows of nothing else."""
    for name in os.environ:
        if name.startswith("DE_STACK_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DE_STACK_HOME", str(tmp_path))
    return tmp_path


def remember(home: Path, **values: Any) -> None:
    (home / "state.json").write_text(json.dumps({"settings": values}), encoding="utf-8")


def test_every_address_and_every_sticky_setting_is_a_setting() -> None:
    assert set(Settings.model_fields) >= ADDRESSES | ELSEWHERE | STICKY
    assert not (ADDRESSES | ELSEWHERE) & STICKY


def test_defaults_need_nothing(home: Path) -> None:
    settings = Settings()
    assert (settings.profile, settings.home, settings.namespace) == ("embedded", home, "")
    assert settings.sensor_interval_seconds == 3600
    assert all(getattr(settings, name) is None for name in ADDRESSES)


def test_embedded_addresses_come_from_the_state_and_not_from_old_exports(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(home, kafka_bootstrap="127.0.0.1:1", ledger_dsn="postgresql://l")
    monkeypatch.setenv("DE_STACK_KAFKA_BOOTSTRAP", "elsewhere:9092")
    settings = Settings()
    assert settings.need("kafka_bootstrap") == "127.0.0.1:1"
    assert settings.need("ledger_dsn") == "postgresql://l"


def test_what_is_exported_for_somebody_elses_systems_is_not_read_in_profile_embedded(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_over = dict.fromkeys(ADDRESSES | ELSEWHERE, "{not even JSON")
    for name, value in left_over.items():
        monkeypatch.setenv(f"DE_STACK_{name.upper()}", value)
    settings = Settings()
    defaults = {name: Settings.model_fields[name].default for name in left_over}
    assert {name: getattr(settings, name) for name in left_over} == defaults
    assert Settings(spark_config={"a": "b"}).spark_config == {"a": "b"}
    with pytest.raises(PermanentFailure, match="DE_STACK_.*not JSON"):
        Settings(profile="external")


def test_external_addresses_come_from_the_environment_and_not_from_an_old_state(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(home, kafka_bootstrap="127.0.0.1:1", ledger_dsn="postgresql://l", namespace="old")
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    monkeypatch.setenv("DE_STACK_KAFKA_BOOTSTRAP", "elsewhere:9092")
    settings = Settings()
    assert settings.need("kafka_bootstrap") == "elsewhere:9092"
    assert settings.ledger_dsn is None
    assert settings.namespace == ""


def test_arguments_come_before_everything(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(home, kafka_bootstrap="127.0.0.1:1", namespace="remembered")
    monkeypatch.setenv("DE_STACK_NAMESPACE", "exported")
    settings = Settings(kafka_bootstrap="given:1", namespace="given")
    assert (settings.need("kafka_bootstrap"), settings.namespace) == ("given:1", "given")


def test_a_profile_or_home_that_was_given_decides_which_state_is_read(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    remember(home, kafka_bootstrap="127.0.0.1:1")
    remember(other, kafka_bootstrap="127.0.0.1:2")
    assert Settings(profile="external").kafka_bootstrap is None
    assert Settings(home=other).kafka_bootstrap == "127.0.0.1:2"


def test_other_settings_are_environment_then_what_up_was_given_then_default(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(home, namespace="up", sensor_interval_seconds=15, slice_max_rows=7)
    assert (Settings().namespace, Settings().sensor_interval_seconds) == ("up", 15)
    # Not among what `up` remembers.
    assert Settings().slice_max_rows == 500_000
    monkeypatch.setenv("DE_STACK_SENSOR_INTERVAL_SECONDS", "30")
    assert (Settings().namespace, Settings().sensor_interval_seconds) == ("up", 30)


def test_no_secret_is_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    dsn = f"postgresql://u:{SECRET}@h/d"
    for name in ("DAGSTER_DSN", "LEDGER_DSN", "SERVING_DSN"):
        monkeypatch.setenv(f"DE_STACK_{name}", dsn)
    monkeypatch.setenv("DE_STACK_KAFKA_SASL_PASSWORD", SECRET)
    monkeypatch.setenv("DE_STACK_LAKE_STORAGE_OPTIONS", json.dumps({"AWS_SECRET": SECRET}))
    monkeypatch.setenv("DE_STACK_SPARK_CONFIG", json.dumps({"spark.hadoop.fs.s3a.key": SECRET}))
    settings = Settings()
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert settings.need("ledger_dsn") == dsn
    assert settings.storage_options() == {"AWS_SECRET": SECRET}
    assert settings.spark_config == {"spark.hadoop.fs.s3a.key": SECRET}


@pytest.mark.parametrize("name", sorted(ADDRESSES))
def test_an_address_that_nobody_set_is_asked_for_in_words_of_the_profile(
    home: Path, name: str
) -> None:
    with pytest.raises(PermanentFailure, match=f"find {name}: not set.*run `de-stack up`"):
        Settings().need(name)
    with pytest.raises(PermanentFailure, match=f"set DE_STACK_{name.upper()}, or unset"):
        Settings(profile="external").need(name)


def test_what_a_person_is_told_to_do_is_what_the_profile_allows(home: Path) -> None:
    ours, theirs = Settings(), Settings(profile="external")
    assert (ours.making, theirs.making) == ("`de-stack up`", "`de-stack init`")
    assert "`de-stack up kafka`" in ours.mending("kafka", "kafka_bootstrap")
    told = theirs.mending("kafka", "kafka_bootstrap")
    assert "DE_STACK_KAFKA_BOOTSTRAP" in told
    assert "de-stack up" not in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROFILE", "cloud"),
        ("NAMESPACE", "Has-Dash"),
        ("NAMESPACE", "line\n"),
        ("KAFKA_REPLICAS", "0"),
        ("SENSOR_INTERVAL_SECONDS", "0"),
        ("SENSOR_INTERVAL_SECONDS", "soon"),
        ("SLICE_MAX_ROWS", "0"),
        ("GENERATOR_RATE", "0"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI"),
    ],
)
def test_a_wrong_setting_is_refused_at_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    monkeypatch.setenv(f"DE_STACK_{name}", value)
    with pytest.raises(PermanentFailure, match=f"DE_STACK_{name}: .*a retry cannot help.*unset"):
        Settings()


def test_what_is_wrong_with_a_setting_is_said_without_what_it_holds(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    for value, reason in (
        (f"{{{SECRET}", "DE_STACK_LAKE_STORAGE_OPTIONS: not JSON"),
        (json.dumps({"KEY": [SECRET]}), "DE_STACK_LAKE_STORAGE_OPTIONS: KEY: Input should be"),
    ):
        monkeypatch.setenv("DE_STACK_LAKE_STORAGE_OPTIONS", value)
        with pytest.raises(PermanentFailure, match=reason) as refused:
            Settings()
        assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_a_wrong_setting_that_up_remembers_is_told_with_the_command_that_forgets_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(home, namespace="Alice-1", generator_rate="fast")
    with pytest.raises(PermanentFailure) as refused:
        Settings()
    assert "DE_STACK_NAMESPACE (remembered by `up`): namespace 'Alice-1': use a-z" in str(
        refused.value
    )
    assert "`DE_STACK_NAMESPACE= DE_STACK_GENERATOR_RATE= de-stack up` forgets it" in str(
        refused.value
    )
    monkeypatch.setenv("DE_STACK_NAMESPACE", "Bob-1")
    monkeypatch.setenv("DE_STACK_GENERATOR_RATE", "5")
    with pytest.raises(PermanentFailure, match="DE_STACK_NAMESPACE: namespace 'Bob-1'.*unset"):
        Settings()


def test_an_empty_variable_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(home, namespace="up")
    for name in ("PROFILE", "NAMESPACE", "GENERATOR_RATE", "LAKE_STORAGE_OPTIONS"):
        monkeypatch.setenv(f"DE_STACK_{name}", "")
    settings = Settings()
    assert (settings.profile, settings.namespace) == ("embedded", "up")
    assert (settings.generator_rate, settings.lake_storage_options) == (None, {})


def test_settings_do_not_change(home: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().namespace = "x"


def test_a_state_that_is_not_there_is_empty_and_a_broken_one_is_refused(home: Path) -> None:
    assert read_state(home) == {}
    (home / "state.json").write_text("{")
    with pytest.raises(PermanentFailure, match="not JSON.*remove the file"):
        Settings()
    (home / "state.json").write_bytes(b"\xff")
    with pytest.raises(PermanentFailure, match="not JSON"):
        read_state(home)
    (home / "state.json").write_text("[]")
    with pytest.raises(PermanentFailure, match="not a mapping"):
        read_state(home)


def test_the_home_is_the_checkouts_unless_it_is_moved(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_home() == home
    monkeypatch.delenv("DE_STACK_HOME")
    assert default_home() == Path(__file__).resolve().parents[2] / ".de_stack"
    monkeypatch.setenv("DE_STACK_HOME", "~/somewhere")
    assert default_home() == Path.home() / "somewhere"


def test_a_home_has_one_meaning_however_it_is_spelled(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(home))
    (home / "real").mkdir()
    (home / "link").symlink_to("real")
    remember(home / "real", namespace="there")
    monkeypatch.chdir(home)
    for spelled in ("~/real", "real", "real/../link", str(home / "link")):
        monkeypatch.setenv("DE_STACK_HOME", spelled)
        assert default_home() == Settings().home == home / "real"
        assert Settings().namespace == "there"
        monkeypatch.delenv("DE_STACK_HOME")
        given = Settings(home=Path(spelled))
        assert (given.home, given.namespace) == (home / "real", "there")


def test_names_are_those_of_the_namespace(home: Path) -> None:
    assert Settings(namespace="mine").names.topic("lab", "things") == "mine.lab.things"

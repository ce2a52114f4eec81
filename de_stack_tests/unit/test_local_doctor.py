"""What doctor finds, and what `env` prints."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from de_stack.local import doctor, exports, versions
from de_stack.local.jars import Jar
from de_stack.masking import without_password

SPARK = [
    Jar("spark", "io.delta", "delta-spark_4.2_2.13", "4.4.0", ""),
    Jar("spark", "org.apache.spark", "spark-sql-kafka-0-10_2.13", "4.2.0", ""),
]


def test_parts_that_fit_are_one_good_finding() -> None:
    (found,) = versions.spark_parts("4.2.0", "2.13.18", SPARK)
    assert found.is_ok


@pytest.mark.parametrize(
    ("spark", "scala", "check", "seen"),
    [
        ("4.3.0", "2.13.18", "Delta", "built for Spark 4.2, PySpark brings 4.3.0"),
        ("4.2.1", "2.13.18", "Spark's Kafka source", "PySpark brings 4.2.1"),
        ("4.2.0", "2.12.18", "Scala", "built for Scala 2.13, Spark has 2.12.18"),
    ],
)
def test_a_part_that_does_not_fit_is_named_with_its_fix(
    spark: str, scala: str, check: str, seen: str
) -> None:
    found = {finding.check: finding for finding in versions.spark_parts(spark, scala, SPARK)}
    assert not found[check].is_ok
    assert seen in found[check].seen
    assert found[check].fix


def test_the_installed_spark_fits_the_locked_jars() -> None:
    assert [finding for finding in versions.spark() if not finding.is_ok] == []


def test_a_broker_of_two_versions_is_wrong() -> None:
    mixed = [
        Jar("kafka", "org.apache.kafka", n, v, "") for n, v in (("a", "4.3.1"), ("b", "4.3.0"))
    ]
    assert not versions.kafka(mixed).is_ok


def test_a_package_of_another_version_is_named() -> None:
    wanted = ["duckdb==1.5.5", "Faker>=40", 'pytest==9.2.0; extra == "dev"']
    assert versions.packages(wanted, {"duckdb": "1.5.5", "faker": "40.1"}).is_ok
    found = versions.packages(wanted, {"duckdb": "1.4.0"})
    assert found.seen == "duckdb 1.4.0, wanted ==1.5.5; faker missing, wanted >=40".replace(
        "faker", "Faker"
    )


@pytest.mark.parametrize(
    ("version", "is_ok"), [((3, 10), False), ((3, 11), True), ((3, 13), False)]
)
def test_pythons_that_the_pins_were_not_made_for_are_refused(version: tuple, is_ok: bool) -> None:
    assert versions.python(version).is_ok is is_ok


def test_an_export_that_names_another_system_is_found(tmp_path: Path) -> None:
    settings = {"kafka_bootstrap": "127.0.0.1:19092"}
    agreed = {"DE_STACK_KAFKA_BOOTSTRAP": "127.0.0.1:19092", "DAGSTER_HOME": f"{tmp_path}/dagster"}
    assert [f.is_ok for f in doctor.environment(tmp_path, settings, agreed)] == [True]
    stale = {**agreed, "DE_STACK_KAFKA_BOOTSTRAP": "127.0.0.1:9092"}
    (found,) = doctor.environment(tmp_path, settings, stale)
    assert (found.check, found.is_ok) == ("$DE_STACK_KAFKA_BOOTSTRAP", False)
    assert "unset DE_STACK_KAFKA_BOOTSTRAP" in found.fix


def test_an_export_that_is_not_read_is_named_without_what_it_holds(tmp_path: Path) -> None:
    environ = {
        "DE_STACK_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "DE_STACK_KAFKA_SASL_PASSWORD": "s3cret",
        "DE_STACK_KAFKA_REPLICAS": "",
    }
    found = doctor.environment(tmp_path, {}, environ)
    assert [(f.check, f.is_ok) for f in found] == [
        ("$DE_STACK_KAFKA_SASL_PASSWORD", False),
        ("$DE_STACK_KAFKA_SECURITY_PROTOCOL", False),
    ]
    assert "is not read" in found[0].seen
    assert "unset DE_STACK_KAFKA_SASL_PASSWORD" in found[0].fix
    assert "s3cret" not in repr(found)
    (external,) = doctor.environment(tmp_path, {}, environ | {"DE_STACK_PROFILE": "external"})
    assert external.check == "profile"


def test_a_shell_that_keeps_to_another_namespace_than_the_stack_is_found(tmp_path: Path) -> None:
    (found,) = doctor.environment(tmp_path, {"namespace": "a"}, {"DE_STACK_NAMESPACE": "b"})
    assert (found.check, found.is_ok) == ("$DE_STACK_NAMESPACE", False)
    assert found.seen == "is b, the stack has a"


def test_profile_external_says_which_addresses_are_missing(tmp_path: Path) -> None:
    environ = {"DE_STACK_PROFILE": "external", "DE_STACK_LAKE_URI": "s3://lake"}
    (found,) = doctor.environment(tmp_path, {}, environ)
    assert not found.is_ok
    assert "DE_STACK_KAFKA_BOOTSTRAP" in found.seen
    assert "DE_STACK_LAKE_URI" not in found.seen


def test_exports_survive_a_shell_whatever_is_in_them(tmp_path: Path) -> None:
    home = tmp_path / "a 'quoted' $HOME & more"
    values = exports.variables(home, {"serving_dsn": "postgresql://u@h/d?passfile=/a b&c=$(id)"})
    script = "\n".join(
        [*exports.lines(values), 'printf "%s\\n" "$DE_STACK_HOME" "$DE_STACK_SERVING_DSN"']
    )
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(home), "postgresql://u@h/d?passfile=/a b&c=$(id)"]


def test_the_namespace_is_exported_when_there_is_one(tmp_path: Path) -> None:
    assert "DE_STACK_NAMESPACE" not in exports.variables(tmp_path, {"namespace": ""})
    found = exports.variables(tmp_path, {"namespace": "alice"})
    assert found["DE_STACK_NAMESPACE"] == "alice"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:s3cret@h:5/d?sslmode=require", "postgresql://u:***@h:5/d?sslmode=require"),
        ("postgresql://u:s3=cr@et@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:s3?cret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:s3/cret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d?passfile=/a/b", "postgresql://u@h/d?passfile=/a/b"),
        ("postgresql://h:5/d?user=u&password=s3@cret", "postgresql://h:5/d?user=u&password=***"),
        ("host=h password='s3 \\' cret' user=u", "host=h password=*** user=u"),
        ("host=h sslpassword = s3cret", "host=h sslpassword = ***"),
        ("sc://h:15002/;use_ssl=true;token=s3cret", "sc://h:15002/;use_ssl=true;token=***"),
        ("sc://h:15002/;x-api-key=s3cret", "sc://h:15002/;x-api-key=***"),
        ("https://u:s3cret@h/collector", "https://u:***@h/collector"),
        ("h1:9092,h2:9092", "h1:9092,h2:9092"),
        ("abfss://container@account/lake", "abfss://container@account/lake"),
        ("local[2]", "local[2]"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert without_password(address) == shown

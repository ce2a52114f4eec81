"""How Spark is reached. Belongs here: session configuration, reading errors; no session."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from pyspark.errors import PySparkException

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.resources.spark import (
    Conflict,
    asking,
    check_reachable,
    is_away,
    is_conflict,
    open_session,
    session_config,
)
from de_stack.settings import Settings


def external(**values: Any) -> Settings:
    return Settings(profile="external", home=Path("/nowhere"), **values)


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_connect_address_makes_a_connect_session_in_utc() -> None:
    found = session_config(external(spark_remote="sc://h:1"))
    # How Parquet is written is set for each session as well, and nothing else is.
    rest = {name: value for name, value in found.items() if "parquet" not in name}
    assert rest == {"spark.remote": "sc://h:1", "spark.sql.session.timeZone": "UTC"}


@pytest.mark.parametrize("master", ["local[2]", "spark://h:7077", "yarn"])
def test_any_other_address_is_a_master_and_gets_deltas_extensions(master: str) -> None:
    found = session_config(external(spark_remote=master))
    assert found["spark.master"] == master
    assert "spark.remote" not in found
    assert found["spark.sql.extensions"].startswith("io.delta")
    assert found["spark.sql.session.timeZone"] == "UTC"


def test_what_the_user_sets_comes_last() -> None:
    config = {"spark.sql.session.timeZone": "Asia/Tokyo", "spark.executor.memory": "4g"}
    found = session_config(external(spark_remote="local[2]", spark_config=config))
    assert found.items() >= config.items()


def test_without_an_address_the_definitions_load_and_the_run_is_refused() -> None:
    assert session_config(external())["spark.remote"].startswith("sc://")
    with pytest.raises(PermanentFailure, match="DE_STACK_SPARK_REMOTE"):
        check_reachable(external())


def test_a_server_that_is_there_is_reached(port: int) -> None:
    check_reachable(external(spark_remote=f"sc://127.0.0.1:{port}/;token=x"))


def test_a_server_that_is_away_is_a_transient_failure_without_the_token(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with pytest.raises(
        TransientFailure, match=f"sc://127.0.0.1:{free}: .*DE_STACK_SPARK_REMOTE"
    ) as e:
        check_reachable(external(spark_remote=f"sc://127.0.0.1:{free}/;token=s3cret"))
    assert "s3cret" not in str(e.value)


def test_a_master_in_this_process_and_several_are_not_asked() -> None:
    for remote in ("local[2]", "yarn", "spark://127.0.0.1:1,127.0.0.1:2"):
        check_reachable(external(spark_remote=remote))


def test_one_standalone_master_is_asked(port: int) -> None:
    check_reachable(external(spark_remote=f"spark://127.0.0.1:{port}"))
    with pytest.raises(TransientFailure, match=r"reach Spark at spark://127\.0\.0\.1:1: "):
        check_reachable(external(spark_remote="spark://127.0.0.1:1"))


def test_without_a_word_of_the_user_classic_workers_run_our_python(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    classic, session = external(spark_remote="local[2]"), cast("Any", object())
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    assert open_session(classic, lambda: session) is session
    assert os.environ["PYSPARK_PYTHON"] == sys.executable
    monkeypatch.setenv("PYSPARK_PYTHON", "/opt/python")
    open_session(classic, lambda: session)
    assert os.environ["PYSPARK_PYTHON"] == "/opt/python"


@pytest.mark.parametrize(
    ("text", "conflict", "away"),
    [
        ("[DELTA_CONCURRENT_APPEND] Files were added", True, False),
        ("io.delta.exceptions.ConcurrentTransactionException: ...", True, False),
        ("[DELTA_METADATA_CHANGED] ...", True, False),
        ("<_InactiveRpcError: StatusCode.UNAVAILABLE", False, True),
        ("Connection refused", False, True),
        ("[NO_ACTIVE_SESSION] No active Spark session found.", False, True),
        ("[RETRIES_EXCEEDED] The maximum number of retries has been exceeded.", False, True),
        ("[INVALID_HANDLE.SESSION_CHANGED] The existing server has restarted", False, True),
        ("[INVALID_HANDLE.OPERATION_NOT_FOUND] Operation not found.", False, True),
        ("[UNRESOLVED_COLUMN] offset", False, False),
    ],
)
def test_sparks_errors_are_told_apart(text: str, conflict: bool, away: bool) -> None:
    error = Exception(text)
    assert (is_conflict(error), is_away(error)) == (conflict, away)


def test_a_full_disk_is_told_in_one_line_with_what_to_do() -> None:
    stack = "Caused by: java.io.IOException: /lake/part-0 (No space left on device)"
    settings = external(lake_uri="/lake")
    with pytest.raises(TransientFailure) as e, asking(settings, "land"):
        raise PySparkException(f"[TASK_WRITE_FAILED] x\n\tat y\n{stack}\n\tat z")
    assert e.value.got == f"the disk is full: {stack}"
    assert e.value.fix == "free space on the file system of /lake"


def test_another_writer_is_a_failure_of_its_own_and_a_wrong_query_stays_what_it_is() -> None:
    settings = external(lake_uri="/lake")
    with pytest.raises(Conflict, match="another writer was first"), asking(settings, "land"):
        raise PySparkException("[DELTA_CONCURRENT_APPEND] Files were added")
    with pytest.raises(PySparkException, match="UNRESOLVED"), asking(settings, "land"):
        raise PySparkException("[UNRESOLVED_COLUMN] offset")

"""What dagster-pyspark's session resource leaves open: is Spark there, what did it say.

Belongs here: session configuration from settings, a quick reachability check, reading Spark's
errors. Does not belong here: creating sessions (dagster-pyspark does), data frames (`flow`).
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from de_stack.failures import NO_ROOM, TransientFailure

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from de_stack.settings import Settings

# A Connect server, or a standalone master.
_ADDRESS = re.compile(r"^(sc|spark)://([^:/;,]+)(?::(\d+))?")
_PORTS = {"sc": 15002, "spark": 7077}
_DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
# Columns of bronze that hardly ever repeat a value: a dictionary of them is filled, found useless
# and thrown away. Hashing for it took a tenth of the samples of a small landing.
_UNIQUE = ("offset", "event_id", "value", "headers.list.element.value")
_SESSION = {
    # Every data frame of ours thinks in UTC, whatever the machine's zone is.
    "spark.sql.session.timeZone": "UTC",
    # The default, INT96, takes 12 bytes and has no minimum and maximum in Parquet.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    **{f"parquet.enable.dictionary#{column}": "false" for column in _UNIQUE},
}
_FULL = re.compile(rf"[^\n]*(?:{NO_ROOM})[^\n]*")


def session_config(settings: Settings) -> dict[str, str]:
    """`spark_config` of dagster-pyspark's resource: a Connect session or a classic one."""
    # Read when definitions load, where nothing may be started yet: an empty address is refused
    # later, by `check_reachable`, with the fix.
    remote = settings.spark_remote or "sc://unset"
    if remote.startswith("sc://"):
        return {"spark.remote": remote, **_SESSION, **settings.spark_config}
    return {"spark.master": remote, **_DELTA, **_SESSION, **settings.spark_config}


def classic_config() -> dict[str, str]:
    """What a classic session of our own needs, wherever its master is."""
    return {**_DELTA, **_SESSION}


def check_reachable(settings: Settings, timeout_s: float = 2.0) -> None:
    """Fail at once where nobody listens: clients would go on trying, of Connect for ten minutes.

    Raises:
        PermanentFailure: no address is set.
        TransientFailure: nobody listens there.
    """
    remote = settings.need("spark_remote")
    match = _ADDRESS.match(remote)
    # Of several masters any one may be the active one.
    if not match or (match[1] == "spark" and "," in remote):
        return
    kind, host, port = match[1], match[2], int(match[3] or _PORTS[match[1]])
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except OSError as error:
        raise TransientFailure(
            f"reach Spark at {kind}://{host}:{port}",
            str(error),
            settings.mending("spark", "spark_remote"),
            page="system-away",
        ) from error


def open_session(settings: Settings, session: Callable[[], SparkSession]) -> SparkSession:
    """The session, with a client that gives a server up after seconds instead of ten minutes.

    Args:
        settings: where Spark is.
        session: gives a session, and another one when that was stopped.

    Raises:
        PermanentFailure: no address is set.
        TransientFailure: nobody listens there.
    """
    check_reachable(settings)
    if not settings.need("spark_remote").startswith("sc://"):
        # Without it the workers run whatever is called `python3`, in which msgspec may not be.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        return session()
    spark = _patient(session())
    if _has_ended(spark):
        # Its client does not notice, and would fail at every later call of this process.
        spark.stop()
        check_reachable(settings)
        spark = _patient(session())
    return spark


def _patient(spark: SparkSession) -> SparkSession:
    """About 8 s in all: a server that restarts is back by then, or the run should fail."""
    from pyspark.sql.connect.client.retries import DefaultPolicy

    policy = DefaultPolicy(max_retries=8, initial_backoff=100, max_backoff=1500, jitter=100)
    spark.client.set_retry_policies([policy])  # type: ignore[attr-defined]
    return spark


def _has_ended(spark: SparkSession) -> bool:
    """True when the server knows the session no more: it was idle for long, or is another server.

    Raises:
        PySparkException: the server says something else, or nothing; callers are `asking`.
    """
    from pyspark.errors import PySparkException

    try:
        # The version, too, is asked for, but once.
        spark.conf.get("spark.sql.session.timeZone")
    except PySparkException as error:
        # Of another server the client learns it first, and then fails to ask for details.
        if spark.is_stopped or "[INVALID_HANDLE." in str(error):  # type: ignore[attr-defined]
            return True
        raise
    return False


def is_away(error: Exception) -> bool:
    """True when the Connect server went away under a call."""
    words = (
        "UNAVAILABLE",
        "Connection refused",
        "[RETRIES_EXCEEDED]",
        # It went while the client asked it why a call had failed.
        "[NO_ACTIVE_SESSION]",
        # Another server answers: the one that knew our session or operation was killed.
        "[INVALID_HANDLE.",
    )
    return any(word in str(error) for word in words)


def is_conflict(error: Exception) -> bool:
    """True when Delta refused a commit because another writer was first."""
    text = f"{type(error).__name__} {error}"
    # The last two: somebody else made the table between our look and our commit.
    words = ("Concurrent", "DELTA_CONCURRENT", "DELTA_PROTOCOL_CHANGED", "DELTA_METADATA_CHANGED")
    return any(word in text for word in words)


class Conflict(TransientFailure):
    """Another writer was first: the next try sees what it wrote."""

    page = "another-writer"


@contextmanager
def asking(settings: Settings, tried: str) -> Iterator[None]:
    """Make a failure of what has nothing to do with the call; other errors go on as they are.

    Raises:
        Conflict: another writer was first.
        TransientFailure: the server went away, or the disk is full.
    """
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        if failure := _may_pass(settings, tried, error):
            raise failure from error
        raise


def _may_pass(settings: Settings, tried: str, error: Exception) -> TransientFailure | None:
    said = str(error)[:300]
    if is_conflict(error):
        return Conflict(tried, f"another writer was first: {said}")
    if is_away(error):
        return TransientFailure(tried, f"Spark went away: {said}", page="system-away")
    if full := _FULL.search(str(error)):
        fix = f"free space on the file system of {settings.need('lake_uri')}"
        return TransientFailure(
            tried, f"the disk is full: {full[0].strip()[:300]}", fix, page="disk-full"
        )
    return None

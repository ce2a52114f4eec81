"""The Spark driver of the queries: classic, in this process and a JVM below it.

Belongs here: its configuration. Does not belong here: queries, the Connect server that the assets
use (`local/spark.py`).

Not the Connect server: a batch of a query must not wait for a landing, a landing that fills the
heap must not take the queries along, and what takes a batch is our own Python in this process. When
the process is killed, its JVM sees the end of its input and goes, too.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from de_stack.local import jars, java
from de_stack.local.service import LOOPBACK
from de_stack.local.spark_home import spark_home
from de_stack.resources.spark import classic_config

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from de_stack.settings import Settings

log = logging.getLogger(__name__)
_HERE = "local[2]"
_LAST_TASK_S = 5.0
_OF_CONNECT = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_API_MODE")
_JVM = "-XX:+UseSerialGC -XX:-UsePerfData"
_CONFIG = {
    "spark.driver.memory": "640m",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # A long query must not keep the others waiting.
    "spark.scheduler.mode": "FAIR",
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.databricks.delta.snapshotPartitions": "1",
    # State outside the heap, and changes of it as small files: the default keeps all of it in the
    # heap and writes snapshots. Both numbers are frozen into a checkpoint at its first start.
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    "spark.sql.streaming.stateStore.rocksdb.boundedMemoryUsage": "true",
    "spark.sql.streaming.stateStore.rocksdb.maxMemoryUsageMB": "128",
    "spark.sql.streaming.numRecentProgressUpdates": "200",
    # What a driver that runs for weeks keeps must be bounded.
    "spark.ui.retainedJobs": "20",
    "spark.ui.retainedStages": "20",
    "spark.ui.retainedTasks": "200",
    "spark.sql.ui.retainedExecutions": "5",
    "spark.cleaner.periodicGC.interval": "5min",
}
# How a checkpoint on this disk is written: docs/decisions/0013-checkpoint-files.md.
_FILES_HERE = {
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    # Hive's, which is found otherwise, renames over no file: of a batch that comes again the state
    # would stay as it was, without a word, and its new files beside it.
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.LocalFileSystem",
}


def close_driver(session: SparkSession) -> None:
    """End the driver when its tasks have ended; one that has gone already is not asked.

    A stopped query's tasks are told to end and do so when they next look. A driver that goes before
    them has them fail on what is gone, with a stack for each.
    """
    from py4j.protocol import Py4JError

    deadline = time.monotonic() + _LAST_TASK_S
    try:
        while _running_tasks(session) and time.monotonic() < deadline:
            time.sleep(0.02)
        session.stop()
    except (Py4JError, OSError) as error:
        log.warning("Spark's driver was not ended", extra={"why": str(error) or repr(error)})


def _running_tasks(session: SparkSession) -> int:
    # Of the scheduler: the public status tracker says 0 while the first tasks still run.
    context: Any = session.sparkContext._jsc  # noqa: SLF001
    numbers = context.sc().taskScheduler().runningTasksByExecutors().valuesIterator()
    running = 0
    while numbers.hasNext():
        running += int(numbers.next())
    return running


def open_driver(settings: Settings, tmp: Path, log4j: Path | None = None) -> SparkSession:
    """Start the driver; on a cluster where the settings name a master, here otherwise.

    Args:
        settings: where Spark's master and the lake are.
        tmp: folder for what Spark and its JVM unpack.
        log4j: configuration of its log; Spark's own without it.
    """
    from pyspark.sql import SparkSession

    # PySpark would open a client of the Connect server that they name instead of a driver; its own
    # clients leave some of them to the processes that they start.
    for name in _OF_CONNECT:
        os.environ.pop(name, None)
    os.environ |= {
        "JAVA_HOME": str(java.find().home),
        "SPARK_HOME": str(spark_home()),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_DIRS": str(tmp),
    }
    remote = settings.spark_remote or ""
    is_here = settings.profile == "embedded" or remote.startswith("sc://") or not remote
    ours = list(map(str, jars.class_path("spark")))
    config = classic_config() | _CONFIG
    options = f'{_JVM} "-Djava.io.tmpdir={tmp}"'
    if log4j is not None:
        options += f' "-Dlog4j2.configurationFile={log4j}"'
    config["spark.driver.extraJavaOptions"] = options
    if is_here:
        os.environ |= {"SPARK_LOCAL_IP": LOOPBACK, "SPARK_CONF_DIR": str(tmp)}
        config |= {
            "spark.master": _HERE,
            "spark.driver.host": LOOPBACK,
            "spark.driver.bindAddress": LOOPBACK,
            "spark.driver.extraClassPath": ":".join(ours),
        }
    else:
        config |= {"spark.master": remote, "spark.jars": ",".join(ours)}
    is_on_this_disk = is_here and _is_file(settings.checkpoint_uri or "")
    if is_on_this_disk:
        config |= _FILES_HERE
    config |= settings.spark_config
    builder = SparkSession.builder.appName("de_stack queries")
    for name, value in config.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    if is_on_this_disk:
        write_checksums(session, on=False)
    return session


def _is_file(uri: str) -> bool:
    return urlsplit(uri).scheme in ("", "file")


def write_checksums(session: SparkSession, *, on: bool = True) -> None:
    """Whether Hadoop writes checksums beside files on this disk, as it does where nobody asks."""
    jvm: Any = session._jvm  # noqa: SLF001 - PySpark has no other way to Hadoop's file systems
    context: Any = session._jsc  # noqa: SLF001
    hadoop = jvm.org.apache.hadoop
    hadoop.fs.FileSystem.getLocal(context.hadoopConfiguration()).setWriteChecksum(on)

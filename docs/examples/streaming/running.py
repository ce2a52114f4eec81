"""What every example shares: its arguments, its Spark, a folder in which files appear.

Belongs here: what is the same in all of them and teaches nothing. Does not belong here: anything
about streams of data (`ticks.py` reads the nine ticks, each example has the rest).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from pyspark.sql import SparkSession

DATA = Path(__file__).parent / "data"
# Spark's console sink writes past Python's buffer: without flushing the order would be lost.
say = partial(print, flush=True)


def arguments(doc: str | None) -> ArgumentParser:
    """The options of all examples; `--help` is the module's docstring."""
    parser = ArgumentParser(description=doc, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "--remote",
        metavar="sc://HOST:PORT",
        help="a Spark Connect server on this machine; without, a Spark of its own is started",
    )
    return parser


@contextmanager
def session(remote: str | None, needs_kafka: bool = False) -> Iterator[SparkSession]:
    """A session of that server, or of a Spark in this process; stopped at the end, Ctrl-C too."""
    is_broken_off = False
    asked: list[int] = []

    def on_ctrl_c(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.default_int_handler(number, frame)

    try:
        spark = _connected(remote) if remote else _of_its_own(needs_kafka)
        # PySpark's own handler fails all jobs first, each with a page of errors; we stop queries.
        signal.signal(signal.SIGINT, on_ctrl_c)
        try:
            # Set here, since it is frozen into a query's checkpoint: the default of 200 makes 200
            # tasks and 200 state files per batch, of nine rows too.
            spark.conf.set("spark.sql.shuffle.partitions", "2")
            spark.conf.set("spark.sql.session.timeZone", "UTC")
            yield spark
            # Where it came in the middle of tidying up, Python drops it.
            if asked:
                signal.default_int_handler(signal.SIGINT, None)
        except KeyboardInterrupt:
            # Py4J may have been in the middle of a call, and would take the rest of its answer for
            # that of the next one. A Spark of our own ends with us; on a server we have to stop.
            is_broken_off = not remote
            raise
        finally:
            if not is_broken_off:
                for query in spark.streams.active:
                    query.stop()
                spark.stop()
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)


def _connected(remote: str) -> SparkSession:
    from pyspark.sql import SparkSession

    return SparkSession.builder.remote(remote).getOrCreate()


def _of_its_own(needs_kafka: bool) -> SparkSession:
    from de_stack.local import jars, java

    # Py4J writes the call that Ctrl-C broke off into the root's log.
    logging.getLogger().setLevel(logging.CRITICAL)
    os.environ["JAVA_HOME"] = str(java.find().home)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # Workers that run Python must have what is installed here.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark.sql import SparkSession

    # The second compiler costs more than it gives back in a program of some seconds.
    options = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    errors_only = f'"-Dlog4j2.configurationFile={DATA / "log4j2.properties"}"'
    builder = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.extraJavaOptions", f"{options} {errors_only}")
    )
    if needs_kafka:
        class_path = ":".join(map(str, jars.class_path("spark")))
        builder = builder.config("spark.driver.extraClassPath", class_path)
    return builder.getOrCreate()


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder for input, checkpoint and output, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="streaming-example-") as made:
        yield Path(made)


def put(place: Path, name: str, lines: Iterable[str]) -> None:
    """Let a whole file appear: a file source that saw half of one would never read the rest."""
    place.mkdir(parents=True, exist_ok=True)
    hidden = place / f".{name}"
    hidden.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    hidden.rename(place / name)

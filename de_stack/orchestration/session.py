"""Spark as Dagster's own resource, bound so late that loading the location does not import PySpark.

Belongs here: the `spark` resource. Does not belong here: its configuration (`resources.spark`), its
use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from de_stack.resources.spark import session_config

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from de_stack.settings import Settings


class LastingSession:
    """dagster-pyspark's lazy session, and another one where that was stopped.

    A run is one process for minutes or hours; its Connect server ends a session that was idle, e.g.
    while dbt was at work. The flow stops such a session (`open_session`) and asks for another one.
    """

    def __init__(self, settings: Settings) -> None:
        self._config = session_config(settings)
        self._lazy: Any = None

    @property
    def spark_session(self) -> SparkSession:
        """The session, opened on first use."""
        from dagster_pyspark import LazyPySparkResource

        # Of the two kinds only Connect's says so.
        if self._lazy and getattr(self._lazy.spark_session, "is_stopped", False):
            # Where its client has closed it by itself, it would stay the process's session.
            self._lazy.spark_session.stop()
            self._lazy = None
        if self._lazy is None:
            self._lazy = LazyPySparkResource(spark_config=self._config)
        return self._lazy.spark_session


def spark_session(settings: Settings) -> dg.ResourceDefinition:
    """The session of the Spark that the settings name."""

    def make(_context: dg.InitResourceContext) -> LastingSession:
        return LastingSession(settings)

    return dg.ResourceDefinition(make, description="Spark session (dagster-pyspark), opened on use")

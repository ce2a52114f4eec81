"""Spark as Dagster's own resource, bound so late that loading the location does not import PySpark.

Belongs here: the `spark` resource. Does not belong here: its configuration (`resources.spark`), its
use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from de_stack.resources.spark import session_config

if TYPE_CHECKING:
    from dagster_pyspark import LazyPySparkResource

    from de_stack.settings import Settings


def spark_session(settings: Settings) -> dg.ResourceDefinition:
    """dagster-pyspark's lazy session, of the Spark that the settings name."""

    def make(_context: dg.InitResourceContext) -> LazyPySparkResource:
        from dagster_pyspark import LazyPySparkResource

        return LazyPySparkResource(spark_config=session_config(settings))

    return dg.ResourceDefinition(make, description="Spark session (dagster-pyspark), opened on use")

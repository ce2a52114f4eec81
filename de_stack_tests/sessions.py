"""The Spark session of the test process itself.

Belongs here: ending it. Does not belong here: making one (dagster-pyspark does), the server.
"""

from __future__ import annotations

import sys


def close_session() -> None:
    """End this process's session before its server goes.

    A client that outlives its server would try to say goodbye to it when Python exits, and the next
    test would be given the dead session.
    """
    if "pyspark.sql.connect.session" in sys.modules:
        from pyspark.sql import SparkSession

        session = SparkSession.getActiveSession()
        if session is not None:
            session.stop()

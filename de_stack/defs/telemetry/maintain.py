"""The Delta tables of telemetry, kept quick to read.

Belongs here: which tables there are. Does not belong here: how (`flow.maintenance`), the factories
(`orchestration.maintenance`).
"""

from de_stack.contracts import load_stream
from de_stack.defs.telemetry.core import schema
from de_stack.defs.telemetry.serve import stats
from de_stack.flow.bronze import bronze, bronze_columns
from de_stack.flow.refine import silver, silver_columns
from de_stack.orchestration.maintenance import maintained, weekly

MEASURES = load_stream("telemetry.measures")
_STATS_COLUMNS = (*((n, kind, text) for n, kind, _, text in schema.STATS), *schema.STATS_LAYOUT)

maintained_bronze_measures = maintained(
    MEASURES, "bronze", bronze_columns(MEASURES), lambda settings: bronze(settings, MEASURES)
)
maintained_silver_measures = maintained(
    MEASURES, "silver", silver_columns(MEASURES), lambda settings: silver(settings, MEASURES)
)
maintained_stats_measures = maintained(MEASURES, "stats", _STATS_COLUMNS, stats)
maintenance = weekly(
    "telemetry",
    [maintained_bronze_measures, maintained_silver_measures, maintained_stats_measures],
)

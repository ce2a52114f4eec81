"""The Delta tables of stocks, kept quick to read.

Belongs here: which tables there are. Does not belong here: how (`flow.maintenance`).
"""

from de_stack.contracts import load_stream
from de_stack.defs.stocks.serve import GOLDS, TICKS
from de_stack.defs.stocks.stream import QUERIES
from de_stack.orchestration.maintenance import all_maintained, maintained_sinks, weekly

MAINTAINED = [
    *all_maintained(TICKS, GOLDS),
    *all_maintained(load_stream("stocks.averages")),
    *maintained_sinks(QUERIES),
]
maintenance = weekly("stocks", MAINTAINED)

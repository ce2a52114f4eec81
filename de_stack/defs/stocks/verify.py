"""What must be true of the tables of stocks after each run.

Belongs here: which checks there are. Does not belong here: how they count (`flow`).
"""

from de_stack.contracts import load_stream
from de_stack.defs.stocks.serve import GOLDS, MOVING_AVERAGES, TICKS
from de_stack.defs.stocks.stream import AVERAGES
from de_stack.flow.continuous.parity_tables import Sides
from de_stack.orchestration.query_assets import parity_check
from de_stack.orchestration.standard_checks import checks

RESULTS = load_stream("stocks.averages")
CHECKS = [*checks(TICKS, GOLDS), *checks(RESULTS)]
PARITY = Sides(
    AVERAGES,
    RESULTS,
    MOVING_AVERAGES,
    value="price",
    result=(
        *("window_name", "stock_name", "window_start", "window_end"),
        *("avg_price", "min_price", "max_price", "count"),
    ),
)
equals_continuous = parity_check(PARITY)

"""Bronze -> silver: typed, one row per event.

bronze_ticks -> silver_ticks; bronze_averages -> silver_averages, where what a crash has sent twice
is one row again: the id of an average is its window and its stock.

Belongs here: the assets. Does not belong here: how periods are replaced (`flow.refine`).
"""

from de_stack.contracts import load_stream
from de_stack.orchestration.stream_assets import refined

silver_ticks = refined(load_stream("stocks.ticks"))
silver_averages = refined(load_stream("stocks.averages"))

"""What the continuous queries of stocks keep, as outside assets, and how far they are.

Belongs here: which there are. Does not belong here: the queries (`stream.py`), observing
(`orchestration.query_assets`).
"""

from de_stack.defs.stocks.stream import CLOSED_AVERAGES, LIVE_AVERAGES, QUERIES, TOTALS
from de_stack.orchestration.query_assets import live, observe_sensor

live_averages, live_totals = live(LIVE_AVERAGES), live(TOTALS)
live_closed_averages = live(CLOSED_AVERAGES)
observe_queries = observe_sensor("stocks", QUERIES)

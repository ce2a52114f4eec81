"""Bronze -> dead letters in Postgres: the messages against the contract, for people to mend.

Belongs here: the assets. Does not belong here: how letters are found (`flow.dead_letters`).
"""

from de_stack.contracts import load_stream
from de_stack.orchestration.stream_assets import rejected

dead_ticks = rejected(load_stream("stocks.ticks"))
dead_averages = rejected(load_stream("stocks.averages"))

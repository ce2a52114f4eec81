"""Columns of the stocks' own tables.

Belongs here: names, types, meaning. Does not belong here: the trade and the average as a message
(the contract has them).
"""

# (name, Spark type, Postgres type, description)
AVERAGES = (
    ("window_name", "string", "text", "Which windows of the contract it is one of, e.g. 10s_5s"),
    ("stock_name", "string", "text", "Symbol of the stock"),
    ("window_start", "timestamp", "timestamptz", "Start of the window, included"),
    ("window_end", "timestamp", "timestamptz", "End of the window, excluded"),
    ("avg_price", "double", "double precision", "Arithmetic mean of the prices"),
    ("min_price", "double", "double precision", "Lowest price"),
    ("max_price", "double", "double precision", "Highest price"),
    ("count", "bigint", "bigint", "Trades in the window"),
)
AVERAGES_KEY = ("window_name", "stock_name", "window_start")
TOTALS = (
    ("stock_name", "string", "text", "Symbol of the stock"),
    ("trade_type", "string", "text", "Which side the trades were on"),
    ("max_price", "double", "double precision", "Highest price"),
    ("avg_quantity", "double", "double precision", "Arithmetic mean of the shares per trade"),
    ("count", "bigint", "bigint", "Trades"),
)
TOTALS_KEY = ("stock_name", "trade_type")
BARS = (
    ("stock_name", "string", "text", "Symbol of the stock"),
    ("minute", "timestamp", "timestamptz", "Start of the minute of the trades, UTC"),
    ("open", "double", "double precision", "Price of the first trade"),
    ("high", "double", "double precision", "Highest price"),
    ("low", "double", "double precision", "Lowest price"),
    ("close", "double", "double precision", "Price of the last trade"),
    ("volume", "bigint", "bigint", "Shares that changed hands"),
    ("ticks", "bigint", "bigint", "Trades"),
)
BARS_KEY = ("stock_name", "minute")

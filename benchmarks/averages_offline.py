"""The offline peer of averages: DuckDB over the file, all trades, none late.

Belongs here: that query. Does not belong here: the topic, rounds.

Run as `python -m benchmarks.averages_offline FILE RESULT`; FILE is JSON lines, RESULT Parquet.
"""

from __future__ import annotations

import os
import sys
import time

from benchmarks.averages_topic import NAME, SLIDE, WINDOW
from benchmarks.landing_topic import say
from benchmarks.measuring import cpu

_SQL = """
copy (
    with ticks as (
        select stock_name, price, epoch_us(event_time) as us
        from read_json($path, format = 'newline_delimited', columns = {
            stock_name: 'varchar', trade_type: 'varchar', price: 'double', quantity: 'bigint',
            event_time: 'timestamptz'})
    ),
    placed as (
        select stock_name, price,
               us - us % $slide - unnest(range(0, $window // $slide)) * $slide as start_us
        from ticks
    )
    select $name as window_name, stock_name as key, make_timestamptz(start_us) as window_start,
           avg(price) as average, min(price) as lowest, max(price) as highest, count(*) as rows
    from placed group by all
) to '{result}' (format parquet)
"""


def main() -> None:
    import duckdb

    path, result = sys.argv[1:]
    used, began = cpu(os.getpid()), time.perf_counter()
    # A target of `copy` takes no parameter; the path is ours.
    duckdb.connect().execute(
        _SQL.replace("{result}", result.replace("'", "''")),
        {
            "path": path,
            "name": NAME,
            "window": round(WINDOW.total_seconds() * 1e6),
            "slide": round(SLIDE.total_seconds() * 1e6),
        },
    )
    say(seconds=time.perf_counter() - began, cpu=cpu(os.getpid()) - used)


if __name__ == "__main__":
    main()

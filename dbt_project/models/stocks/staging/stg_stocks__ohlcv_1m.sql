{{ config(materialized='view') }}

select
    stock_name,
    minute,
    open,
    high,
    low,
    close,
    volume,
    ticks
from {{ source('stocks', 'gold_ohlcv_1m') }}

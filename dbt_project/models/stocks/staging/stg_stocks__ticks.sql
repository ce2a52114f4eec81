{{ config(materialized='view') }}

select
    event_id,
    event_hour,
    stock_name,
    trade_type,
    price,
    quantity,
    event_time,
    -- by UTC whatever the reader's session says
    cast(event_time at time zone 'UTC' as date) as day
from {{ source('stocks', 'silver_ticks') }}

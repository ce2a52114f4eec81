select
    stock_name,
    trade_type,
    max(price) as max_price,
    avg(quantity) as avg_quantity,
    count(*) as trades
from {{ ref('stg_stocks__ticks') }}
group by all

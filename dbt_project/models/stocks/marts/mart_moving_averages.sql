-- The same windows as gold_moving_averages, by SQL: a row lies in every window that begins at a multiple
-- of the slide since 1970 in UTC, at or before it, and less than a length before it.
{% set windows = windows_of('stocks.ticks') %}
with newest as (
    select min(event_hour) as since
    from (select distinct event_hour from {{ ref('stg_stocks__ticks') }} order by 1 desc limit 24)
),

sizes as (
    {%- for window in windows or [{'name': '', 'length': 1, 'slide': 1}] %}
    {{ 'union all' if not loop.first }}
    select '{{ window.name }}' as window_name, {{ window.length }} as length_us, {{ window.slide }} as slide_us
    {%- endfor %}
),

ticks as (
    select
        stock_name,
        price,
        epoch_us(event_time) as time_us
    from {{ ref('stg_stocks__ticks') }}
    -- the longest window that ends in the first of the newest hours begins so long before it
    where event_time >= (select since from newest) - to_microseconds((select max(length_us) from sizes))
),

placed as (
    select
        window_name,
        stock_name,
        price,
        length_us,
        -- from the last start at or before the row, back; % keeps the sign, and times may lie before 1970
        unnest(range(
            time_us - ((time_us % slide_us) + slide_us) % slide_us, time_us - length_us, -slide_us
        )) as start_us
    from ticks
    cross join sizes
)

select
    window_name,
    stock_name,
    make_timestamptz(start_us) as window_start,
    make_timestamptz(start_us + length_us) as window_end,
    -- compensated, and in one order: which row came first must not show in a report, not in the last digit
    favg(price order by price) as avg_price,
    min(price) as min_price,
    max(price) as max_price,
    count(*) as count
from placed
where start_us + length_us >= (select epoch_us(since) from newest)
group by window_name, stock_name, start_us, length_us

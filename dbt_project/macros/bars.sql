{# Bars of a longer period from those of a minute: every sum, first and last is that of the trades. #}
{% macro bars(minutes, unit, column, type) -%}
{#- UTC whatever the reader's session says: a plain time of the microseconds. `at time zone` says the same
    and takes ten times as long. -#}
{%- set start = "date_trunc('" ~ unit ~ "', make_timestamp(epoch_us(minute)))" -%}
select
    stock_name,
    {{ 'cast(' ~ start ~ ' as date)' if type == 'date' else 'make_timestamptz(epoch_us(' ~ start ~ '))' }} as {{ column }},
    arg_min(open, minute) as open,
    max(high) as high,
    min(low) as low,
    arg_max(close, minute) as close,
    cast(sum(volume) as bigint) as volume,
    cast(sum(ticks) as bigint) as ticks
from {{ minutes }}
group by all
{%- endmacro %}

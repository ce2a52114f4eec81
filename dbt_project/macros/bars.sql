{# Bars of a longer period from those of a minute: every sum, first and last is that of the trades. #}
{% macro bars(minutes, unit, column, type) -%}
select
    stock_name,
    -- by UTC whatever the reader's session says
    cast(date_trunc('{{ unit }}', minute at time zone 'UTC') {{ "at time zone 'UTC'" if type != 'date' }} as {{ type }}) as {{ column }},
    arg_min(open, minute) as open,
    max(high) as high,
    min(low) as low,
    arg_max(close, minute) as close,
    cast(sum(volume) as bigint) as volume,
    cast(sum(ticks) as bigint) as ticks
from {{ minutes }}
group by all
{%- endmacro %}

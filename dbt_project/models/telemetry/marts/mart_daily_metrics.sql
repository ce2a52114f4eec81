select
    day,
    source_id,
    metric,
    count(*) as count,
    min(value) as min,
    max(value) as max,
    -- compensated summation: the order of rows must not show in a report
    favg(value) as mean,
    -- linear interpolation, as in stats_measures
    quantile_cont(value, 0.5) as p50,
    min(measured_at) as first_measured_at,
    max(measured_at) as last_measured_at
from {{ ref('stg_telemetry__measures') }}
group by all

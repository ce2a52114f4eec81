{{ config(materialized='view') }}

select
    event_id,
    event_hour,
    source_id,
    metric,
    value,
    measured_at,
    -- by UTC whatever the reader's session says
    cast(measured_at at time zone 'UTC' as date) as day
from {{ source('telemetry', 'silver_measures') }}

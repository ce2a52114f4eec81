-- Which rows a continuous query has left out of a window or more, and how late they were for it.
--
-- ticks, ends, windows: as parity.sql has them. A row is late for the windows that end by the watermark
-- of the batch before its own; `behind_s` is how far that watermark was past its time.
with batched as (
    select t.*, e.batch_id, e.late_us
    from ticks t asof left join ends e on t.partition = e.partition and t."offset" < e."end"
),
first_end as (
    select b.partition, b."offset", b.key, b.at, b.late_us,
           min(step.start_us + w.length_us) filter (
               where step.start_us + w.length_us > epoch_us(b.at)) as end_us
    from batched b cross join windows w
    cross join lateral (
        select epoch_us(b.at) - (epoch_us(b.at) % w.slide_us + w.slide_us) % w.slide_us
               - unnest(range(0, (w.length_us + w.slide_us - 1) // w.slide_us)) * w.slide_us
               as start_us) step
    where b.batch_id >= 0
    group by all
)
select partition, "offset", key, "at", (late_us - epoch_us("at")) / 1e6 as behind_s
from first_end where end_us <= late_us
order by "at", partition, "offset"

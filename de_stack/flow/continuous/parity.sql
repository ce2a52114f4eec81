-- Which values a continuous query must have given, from the rows that landed and the query's batches.
--
-- ticks(partition, "offset", event_id, event_hour, broker_time, key, at, value): rows that hold their
-- contract.
-- ends(partition, "end", batch_id, late_us): per partition, the batch that ends with an offset, and
-- the watermark of the batch before it: its rows are left out of windows that end by then. Batch -1
-- has the rows that the query has never read, or of whose batch nothing is known any more. Rows of
-- another topic lie in partition -1, of which it has none.
-- windows(window_name, length_us, slide_us): the sizes.
-- messages(window_name, key, window_start, window_end, average, lowest, highest, rows, partition,
-- headers): results as they landed. settled(partition, until_us): per partition of the results, up to
-- which end of windows all of them are there.
-- held(window_name, key, window_start, average, lowest, highest, rows): what the batch path holds.
with batched as (
    -- The batch path has one row of each event id and period, the one that `flow.refine` takes.
    select t.*, e.batch_id, e.late_us,
           row_number() over (partition by t.event_hour, t.event_id
                              order by t."at" desc, t.broker_time desc, t.partition desc,
                                       t."offset" desc) = 1 as is_kept
    from ticks t asof left join ends e on t.partition = e.partition and t."offset" < e."end"
),
placed as (
    select b.*, w.window_name, w.length_us,
           epoch_us(b.at) - (epoch_us(b.at) % w.slide_us + w.slide_us) % w.slide_us
             - step.n * w.slide_us as start_us
    from batched b cross join windows w
    cross join lateral (
        select unnest(range(0, (w.length_us + w.slide_us - 1) // w.slide_us)) as n) step
    where epoch_us(b.at) - (epoch_us(b.at) % w.slide_us + w.slide_us) % w.slide_us
            - step.n * w.slide_us + w.length_us > epoch_us(b.at)
),
expected as (
    select window_name, key, start_us, start_us + length_us as end_us,
           avg(value) filter (where start_us + length_us > late_us) as average,
           min(value) filter (where start_us + length_us > late_us) as lowest,
           max(value) filter (where start_us + length_us > late_us) as highest,
           count(*) filter (where start_us + length_us > late_us) as rows,
           count(*) filter (where start_us + length_us <= late_us) as late,
           list({place: [partition, "offset"], behind_us: late_us - epoch_us("at")})
             filter (where start_us + length_us <= late_us) as late_rows,
           avg(value) filter (where is_kept) as whole,
           min(value) filter (where is_kept) as whole_min,
           max(value) filter (where is_kept) as whole_max,
           count(*) filter (where is_kept) as whole_rows,
           count(*) - count(distinct event_id) as twice,
           count(*) filter (where batch_id is null or batch_id < 0) as unread
    from placed group by all
),
given as (
    select * exclude (headers, said)
    from (select *, decode(list_filter(headers, lambda h: h.key = $header)[1].value) as said
          from messages)
    where split_part(said, '/', 1) = $query_id
),
seen as (
    select window_name, key, epoch_us(window_start) as start_us,
           max(epoch_us(window_end)) as end_us,
           any_value(average) as average, any_value(lowest) as lowest,
           any_value(highest) as highest, any_value(rows) as rows,
           count(*) as messages,
           count(distinct (average, lowest, highest, rows)) as versions
    from given group by all
),
-- Keys lie in the partition of their messages; one that has given none yet is settled with the last.
until as (
    select key, min(s.until_us) as until_us
    from (select distinct key, partition from given) g join settled s using (partition)
    group by key
)
select coalesce(e.window_name, s.window_name, h.window_name) as window_name,
       coalesce(e.key, s.key, h.key) as key,
       make_timestamptz(coalesce(e.start_us, s.start_us, epoch_us(h.window_start))) as window_start,
       e.rows as expected_rows, e.average as expected, e.lowest as expected_min,
       e.highest as expected_max, e.late, e.late_rows, e.twice, e.unread,
       s.rows as given_rows, s.average as given, s.lowest as given_min, s.highest as given_max,
       s.messages, s.versions, e.whole_rows, e.whole, e.whole_min, e.whole_max,
       h.rows as held_rows, h.average as held, h.lowest as held_min, h.highest as held_max,
       make_timestamptz(coalesce(e.end_us, s.end_us, epoch_us(h.window_start) + w.length_us))
         as window_end
from expected e
full join seen s using (window_name, key, start_us)
full join held h
  on h.window_name = coalesce(e.window_name, s.window_name) and h.key = coalesce(e.key, s.key)
  and epoch_us(h.window_start) = coalesce(e.start_us, s.start_us)
-- What the batch path alone has is compared, too: its end follows from its size.
left join windows w on w.window_name = h.window_name
left join until u on u.key = coalesce(e.key, s.key, h.key)
where coalesce(e.end_us, s.end_us, epoch_us(h.window_start) + w.length_us) >= $first_us
  and coalesce(e.end_us, s.end_us, epoch_us(h.window_start) + w.length_us) < $past_us
  and coalesce(e.end_us, s.end_us, epoch_us(h.window_start) + w.length_us)
      <= coalesce(u.until_us, $all_until_us)
order by 3, 2, 1

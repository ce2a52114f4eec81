-- Seconds between the event hour's end and the broker's time of its latest late row.
alter table ledger.touched add column most_late_s bigint;

-- For rows older than the column, the default was the time of its making.
update ledger.applied set first_applied_at = least(first_applied_at, applied_at);
update ledger.applied a set source = (
    select c.details->>'source' from ledger.commits c
    where c.table_id = a.consumer and c.kind = 'derive' order by c.version desc limit 1)
where source is null;

-- Event hours of a source that were touched after what a consumer has used of them. Held is one
-- that had numbers (a touch that was used), whose newest touch came later than look_back after the
-- hour's end and after the first use, and that nobody has released up to that touch.
create function ledger.lagging(consumer text, source text, period interval, look_back interval)
returns table (event_hour timestamptz, version bigint, used_version bigint,
               touched_at timestamptz, is_held boolean)
language sql stable as $$
    with lag as (
        select t.event_hour, min(t.version) as first, max(t.version) as newest,
               a.source_version as used, a.first_applied_at
        from ledger.touched t
        left join ledger.applied a on a.consumer = $1 and a.event_hour = t.event_hour
        where t.table_id = $2
        group by t.event_hour, a.source_version, a.first_applied_at
        having max(t.version) > coalesce(a.source_version, -1)),
    released as (
        select (d.details->>'event_hour')::timestamptz as event_hour,
               max((d.details->>'source_version')::bigint) as newest
        from ledger.decisions d where d.kind = 'release' and d.subject = $1 group by 1)
    select l.event_hour, l.newest, l.used, c.committed_at,
           coalesce(l.first <= l.used
                    and c.committed_at > greatest(l.event_hour + $3, l.first_applied_at) + $4
                    and l.newest > coalesce(r.newest, -1), false)
    from lag l
    join ledger.commits c on c.table_id = $2 and c.version = l.newest
    left join released r on r.event_hour = l.event_hour
$$;

-- For people: every known consumer. Programs ask the function, with the contract's look-back as it
-- is now; here it is the one of the last landing. Consumers of tables that nobody lands into never
-- hold.
create view ledger.lag as
select p.consumer, p.source, l.event_hour, l.version, l.used_version, l.touched_at, l.is_held
from (select distinct consumer, source from ledger.applied
      where source is not null and event_hour <> 'epoch') p
left join lateral (
    select make_interval(secs => (c.details->>'period_s')::float) as period,
           make_interval(secs => (c.details->>'look_back_s')::float) as look_back
    from ledger.commits c where c.table_id = p.source and c.slice is not null
    order by c.slice desc limit 1) rule on true
cross join lateral ledger.lagging(p.consumer, p.source, rule.period, rule.look_back) l;

create view ledger.pending as
select consumer, source, event_hour, version, used_version, touched_at
from ledger.lag where not is_held;

create view ledger.held as
select consumer, source, event_hour, version, used_version, touched_at
from ledger.lag where is_held;

create or replace view ledger.hours as
select t.table_id, t.event_hour, max(t.version) as version, sum(t.rows) as rows,
       sum(t.late_rows) as late_rows, min(t.ingest_first) as ingest_first,
       max(t.ingest_last) as ingest_last, max(c.committed_at) as touched_at,
       max(t.most_late_s) as most_late_s,
       max(c.committed_at) filter (where t.late_rows > 0) as late_at
from ledger.touched t join ledger.commits c using (table_id, version)
group by t.table_id, t.event_hour;

create or replace view ledger.late as
select t.table_id, t.event_hour, t.version, t.late_rows, t.ingest_last, c.committed_at,
       t.most_late_s
from ledger.touched t join ledger.commits c using (table_id, version)
where t.late_rows > 0;

-- How many event hours before its own a consumer has read for an hour: windows that end in an hour may
-- hold rows of hours before.
alter table ledger.applied add column reach int not null default 0;

-- Touches of a table, each also for as many hours after its own as a consumer reads back. Only for
-- hours that have begun: nobody can compute another.
create function ledger.reached(source text, period interval, reach int, until timestamptz)
returns table (event_hour timestamptz, version bigint)
language sql stable as $$
    select t.event_hour, t.version from ledger.touched t where t.table_id = $1
    union all
    select later.event_hour, t.version
    from ledger.touched t
    cross join generate_series(1, coalesce($3, 0)) n
    cross join lateral (
        select (t.event_hour at time zone 'UTC' + n * $2) at time zone 'UTC' as event_hour) later
    where t.table_id = $1 and later.event_hour <= $4
$$;

drop view ledger.pending;
drop view ledger.held;
drop view ledger.lag;
drop function ledger.lagging(text, text, interval, interval);

-- As before, and beside touches what they reach, by what the consumer read back the last time. A
-- program gives its own clock: partitions begin by it.
create function ledger.lagging(consumer text, source text, period interval, look_back interval,
                               until timestamptz default now())
returns table (event_hour timestamptz, version bigint, used_version bigint,
               touched_at timestamptz, is_held boolean)
language sql stable as $$
    with lag as (
        select t.event_hour, min(t.version) as first, max(t.version) as newest,
               a.source_version as used, a.first_applied_at
        from ledger.reached($2, $3, (select o.reach from ledger.applied o where o.consumer = $1
                                     order by o.applied_at desc limit 1), $5) t
        left join ledger.applied a on a.consumer = $1 and a.event_hour = t.event_hour
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

-- What nobody lands into has no period of its own: that of the consumer's windows stands in for it.
create view ledger.lag as
select p.consumer, p.source, l.event_hour, l.version, l.used_version, l.touched_at, l.is_held
from (select distinct consumer, source from ledger.applied
      where source is not null and event_hour <> 'epoch') p
left join lateral (
    select coalesce((c.details->>'period')::interval,
                    make_interval(secs => (c.details->>'period_s')::float)) as period,
           make_interval(secs => (c.details->>'look_back_s')::float) as look_back
    from ledger.commits c where c.table_id = p.source and c.slice is not null
    order by c.slice desc limit 1) rule on true
left join lateral (
    select (c.details->>'period')::interval as period
    from ledger.commits c where c.table_id = p.consumer and c.kind = 'derive'
    order by c.version desc limit 1) own on true
cross join lateral ledger.lagging(p.consumer, p.source, coalesce(rule.period, own.period),
                                  rule.look_back) l;

create view ledger.pending as
select consumer, source, event_hour, version, used_version, touched_at
from ledger.lag where not is_held;

create view ledger.held as
select consumer, source, event_hour, version, used_version, touched_at
from ledger.lag where is_held;

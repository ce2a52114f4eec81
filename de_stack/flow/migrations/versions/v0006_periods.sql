create or replace view ledger.lag as
select p.consumer, p.source, l.event_hour, l.version, l.used_version, l.touched_at, l.is_held
from (select distinct consumer, source from ledger.applied
      where source is not null and event_hour <> 'epoch') p
left join lateral (
    select coalesce((c.details->>'period')::interval,
                    make_interval(secs => (c.details->>'period_s')::float)) as period,
           make_interval(secs => (c.details->>'look_back_s')::float) as look_back
    from ledger.commits c where c.table_id = p.source and c.slice is not null
    order by c.slice desc limit 1) rule on true
cross join lateral ledger.lagging(p.consumer, p.source, rule.period, rule.look_back) l;

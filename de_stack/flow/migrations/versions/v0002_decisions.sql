-- What a person has decided, and why. No table can tell it again: `ledger rebuild` keeps these rows.
create table ledger.decisions (
    id          bigint generated always as identity primary key,
    kind        text        not null,   -- gap | topic | release | acknowledge
    subject     text        not null,   -- table or consumer that it is about
    details     jsonb       not null,
    reason      text        not null,
    decided_by  text        not null,
    decided_at  timestamptz not null default now()
);
create index on ledger.decisions (subject, kind);

-- A consumer that is new has used nothing of its source; views need to know which source that is.
alter table ledger.applied add column source text;
alter table ledger.applied add column first_applied_at timestamptz not null default now();

-- What each event hour of a table has seen.
create view ledger.hours as
select t.table_id, t.event_hour, max(t.version) as version, sum(t.rows) as rows,
       sum(t.late_rows) as late_rows, min(t.ingest_first) as ingest_first,
       max(t.ingest_last) as ingest_last, max(c.committed_at) as touched_at
from ledger.touched t join ledger.commits c using (table_id, version)
group by t.table_id, t.event_hour;

-- Offsets that Kafka deleted before they landed and that a person has accepted as lost.
create view ledger.gaps as
select subject as table_id, details->>'topic_id' as topic_id,
       (details->>'partition')::int as partition, (details->>'first')::bigint as first_offset,
       (details->>'last')::bigint as last_offset, reason, decided_by, decided_at
from ledger.decisions where kind = 'gap';

-- Late rows, by event hour, latest first.
create view ledger.late as
select t.table_id, t.event_hour, t.version, t.late_rows, t.ingest_last, c.committed_at
from ledger.touched t join ledger.commits c using (table_id, version)
where t.late_rows > 0;

-- The ledger: what each table's log says, in a form that can be asked. Everything in it can be made
-- anew from the tables; pending work is derived from it and never stored.
create schema if not exists ledger;

create table if not exists ledger.commits (
    table_id      text        not null,
    version       bigint      not null,
    kind          text        not null,   -- land | derive | maintenance
    token         text,                   -- written into the commit by its writer, null for maintenance
    slice         bigint,                 -- land: number of the slice
    rows          bigint,
    details       jsonb       not null,   -- the commit's user metadata
    committed_at  timestamptz not null,
    primary key (table_id, version)
);
create index if not exists commits_slice on ledger.commits (table_id, slice desc) where slice is not null;

create table if not exists ledger.touched (
    table_id      text        not null,
    version       bigint      not null,
    event_hour    timestamptz not null,
    rows          bigint,
    late_rows     bigint,
    ingest_first  timestamptz,            -- land: ingest hours that hold these rows
    ingest_last   timestamptz,
    primary key (table_id, event_hour, version),
    foreign key (table_id, version) references ledger.commits
);

create table if not exists ledger.applied (
    consumer        text        not null,
    event_hour      timestamptz not null,
    source_version  bigint      not null,
    run_id          text        not null,
    applied_at      timestamptz not null default now(),
    primary key (consumer, event_hour)
);

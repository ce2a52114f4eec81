-- Files that were sent as streams, each time. What moved their times must be the same the next time:
-- no table can tell it again, and `ledger rebuild` keeps these rows.
create table ledger.sent_files (
    id             bigint generated always as identity primary key,
    table_id       text        not null,   -- bronze table of the stream
    topic_id       text        not null,
    sha256         text        not null,   -- of the file's bytes
    name           text        not null,   -- of this use of the file; '' is the first
    file           text        not null,   -- as it was called, without folders
    mapping_digest text        not null,
    mapping        jsonb       not null,
    shift_days     int,                    -- null: times as they are
    rows           bigint,                 -- null: nobody knows how far it came
    good           bigint,                 -- rows that the contract allows
    began_at       timestamptz not null default now(),
    ended_at       timestamptz,
    sent_by        text        not null
);
create index on ledger.sent_files (table_id, sha256);

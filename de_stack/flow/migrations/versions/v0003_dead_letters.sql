-- Dead letters that somebody wanted sent again. Entered before the sending, so that a crash cannot
-- make a second message of it; `ledger rebuild` keeps these rows.
create table ledger.replays (
    table_id        text        not null,   -- bronze table that holds the letter
    topic_id        text        not null,
    partition       int         not null,
    "offset"        bigint      not null,
    entered_by      text        not null,
    entered_at      timestamptz not null default now(),
    sent_at         timestamptz,            -- null: nobody knows yet whether it was sent
    sent_partition  int,
    sent_offset     bigint,
    landed_at       timestamptz,            -- null: still under way
    primary key (table_id, topic_id, partition, "offset")
);
create index on ledger.replays (table_id) where landed_at is null;

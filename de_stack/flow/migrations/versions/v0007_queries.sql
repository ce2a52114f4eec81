-- Checkpoints of continuous queries: which topic they count offsets of and from where on, what their
-- state is made of.
create table ledger.queries (
    query text not null, query_id text not null, topic text not null, topic_id text not null,
    starts jsonb not null, shape jsonb not null, begun_at timestamptz not null default now(),
    primary key (query, query_id));

-- Each batch of a checkpoint, entered when its sink has it. Rows of batch n are late for windows that
-- end by the watermark of batch n - 1; batch n gives the windows that end by its own.
create table ledger.query_batches (
    query text not null, query_id text not null, batch_id bigint not null,
    watermark_ms bigint not null, ends jsonb not null, written_rows bigint,
    done_at timestamptz not null default now(), attempts int not null default 1,
    input_rows bigint, state_rows bigint, dropped_rows bigint, lag_rows bigint, duration_ms bigint,
    primary key (query, query_id, batch_id));
create index on ledger.query_batches (query, done_at);

-- The log: one table of events in one order, and the one function that writes it.
-- The first seven columns are those an unmodified postgres-es reads. `payload` is json, not jsonb,
-- since its bytes are what the leaf hash covers.

create table log_head (
    id          smallint    primary key default 1 check (id = 1),
    position    bigint      not null,
    hash        bytea       not null,
    recorded_at timestamptz not null
) with (fillfactor = 10);

insert into log_head (position, hash, recorded_at)
values (0, sha256('saldo log, version 1'), 'epoch');

create table events (
    aggregate_type text        not null,
    aggregate_id   text        not null,
    sequence       bigint      not null check (sequence > 0),
    event_type     text        not null,
    event_version  text        not null,
    payload        json        not null,
    metadata       json        not null,
    position       bigint      primary key,
    recorded_at    timestamptz not null,
    command_id     uuid        not null,
    ordinal        smallint    not null,
    leaf_hash      bytea       not null,
    constraint events_stream unique (aggregate_type, aggregate_id, sequence),
    -- A command has one outcome for ever.
    constraint events_command unique (command_id, ordinal)
);

create table batches (
    first_position bigint      primary key,
    last_position  bigint      not null,
    recorded_at    timestamptz not null,
    previous_hash  bytea       not null,
    hash           bytea       not null
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the log is append-only: % on % is refused', tg_op, tg_table_name;
end $$;

create trigger events_append_only before update or delete on events
    for each row execute function refuse_change();
create trigger events_never_truncated before truncate on events
    for each statement execute function refuse_change();
create trigger batches_append_only before update or delete on batches
    for each row execute function refuse_change();
create trigger batches_never_truncated before truncate on batches
    for each statement execute function refuse_change();

-- States of aggregates that save replaying a long stream; never trusted over the log.
create table snapshots (
    aggregate_type text   not null,
    aggregate_id   text   not null,
    sequence       bigint not null,
    shape          int    not null,
    state          text   not null,
    primary key (aggregate_type, aggregate_id)
);

-- The keys that personal data in events is encrypted with. No projection: destroying a row's key is
-- how a person is erased, and no replay may bring it back.
create table person_keys (
    user_id      uuid        primary key,
    wrapped_key  bytea,
    key_id       text        not null,
    created_at   timestamptz not null default now(),
    destroyed_at timestamptz,
    check ((wrapped_key is null) = (destroyed_at is not null))
);

-- Results of AI calls, encrypted with the person's key. No projection: the log keeps what was paid
-- for, and this table what was delivered; both are written in one unit.
create table analyses (
    analysis_id uuid        primary key,
    user_id     uuid        not null,
    feature     text        not null,
    credits     bigint      not null,
    sealed      text        not null,
    created_at  timestamptz not null
);
create index analyses_user on analyses (user_id, created_at desc, analysis_id desc);

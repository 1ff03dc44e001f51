-- Usage: the read model that says what each person used on each day, and calls that wait to be made.

create schema usage;

-- What was used, by person, day (UTC), feature and model; a model that nobody named is ''.
create table usage.days (
    wallet_id     uuid   not null,
    day           date   not null,
    feature       text   not null,
    model         text   not null,
    calls         bigint not null,
    -- Less than nothing on a day on which more was given back than spent.
    credits       bigint not null,
    input_tokens  bigint not null,
    output_tokens bigint not null,
    -- Calls that were charged by our estimate.
    estimated     bigint not null,
    primary key (wallet_id, day, feature, model)
) with (fillfactor = 70);

-- What holds of ours are for, while they can still be captured.
create table usage.features (
    wallet_id uuid not null,
    hold_id   uuid not null,
    feature   text not null,
    primary key (wallet_id, hold_id)
) with (fillfactor = 70);

insert into projections.checkpoints (name) values ('usage');

-- Calls that wait to be made, and those that failed. No projection: a text is not for the log, and
-- goes when its call has ended. A call that is done is a row of `analyses`, and here no more.
create table queued_calls (
    -- That of its hold.
    call_id    uuid        primary key,
    user_id    uuid        not null,
    -- The request that asked: with the same key, it is asked once.
    intent     uuid        not null unique,
    feature    text        not null,
    -- By which API key, and what stands beside the events.
    key_id     uuid,
    metadata   jsonb       not null,
    -- The text, encrypted with the person's key; none when the call has ended.
    sealed     text,
    -- How often it was begun: whoever dies of it does so a few times.
    begun      int         not null default 0,
    -- Why it failed.
    failure    text,
    created_at timestamptz not null,
    check ((sealed is null) = (failure is not null))
);
create index on queued_calls (user_id, created_at desc, call_id desc);

-- Rows of calls that live or die with their unit's events: queued with the hold, ended with the
-- capture (then there is a result) or the release (then there is a failure).
create function write_call_rows(side jsonb, refused int[]) returns void
language plpgsql
set search_path = public
as $$
begin
    insert into queued_calls (call_id, user_id, intent, feature, key_id, metadata, sealed, created_at)
    select r.call_id, r.user_id, r.intent, r.feature, r.key_id, r.metadata, r.sealed, r.created_at
    from jsonb_to_recordset(side)
        as r (unit int, kind text, call_id uuid, user_id uuid, intent uuid, feature text, key_id uuid,
            metadata jsonb, sealed text, created_at timestamptz)
    where r.kind = 'queued_call' and r.unit <> all (refused);

    delete from queued_calls c
    using jsonb_to_recordset(side) as r (unit int, kind text, call_id uuid)
    where r.kind = 'made_call' and r.unit <> all (refused) and c.call_id = r.call_id;

    update queued_calls c set failure = r.failure, sealed = null
    from jsonb_to_recordset(side) as r (unit int, kind text, call_id uuid, failure text)
    where r.kind = 'failed_call' and r.unit <> all (refused) and c.call_id = r.call_id;
end $$;

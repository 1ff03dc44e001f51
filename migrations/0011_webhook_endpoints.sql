-- Webhooks to customers' own systems. No projections: where to send, what of and by which secret are
-- settings that the log has no events of, and what was sent, and what was answered, is not in it
-- either. None of it is money, and nothing is decided by it: `saldo verify` need not look at it, since
-- there is nothing in the log that it could be held against.

create table webhook_endpoints (
    endpoint_id uuid        primary key,
    user_id     uuid        not null,
    -- The address, what its owner calls it and the secrets, encrypted with the person's key: addresses
    -- tell where somebody works, and may have a password inside. Nothing is looked up by them.
    sealed      text        not null,
    -- By name; `*` is all, also those that are to come.
    events      text[]      not null,
    low_balance_threshold bigint not null check (low_balance_threshold > 0),
    enabled     boolean     not null default true,
    -- `asked`, `gone` (it has answered so) or `failing`.
    disabled_reason text,
    check (enabled = (disabled_reason is null)),
    -- Since when nothing was taken.
    failing_since timestamptz,
    -- Where the log ended when it was made, or turned on again: what was before is not told.
    after       bigint      not null,
    -- Of the request that made it, where that can be repeated.
    request_hash text,
    created_at  timestamptz not null
);
create index webhook_endpoints_user on webhook_endpoints (user_id, created_at desc);

-- What is sent, each to one endpoint: the id derives from the endpoint and what is told, so that it is
-- told once.
create table webhook_deliveries (
    delivery_id uuid        primary key,
    -- The order of the list.
    number      bigint      not null generated always as identity unique,
    endpoint_id uuid        not null references webhook_endpoints on delete cascade,
    event_type  text        not null,
    body        text        not null,
    state       text        not null default 'waiting'
        check (state in ('waiting', 'delivered', 'failed')),
    -- Tries of this round, and all that there ever were.
    tries       int         not null default 0,
    attempts    int         not null default 0,
    -- When it is tried next.
    next_at     timestamptz,
    check ((state = 'waiting') = (next_at is not null)),
    -- Until when nobody else sends it: who does may die of it.
    leased_until timestamptz,
    -- The request that had it sent once more.
    asked_by    uuid,
    -- Of `grant.expiring`: each grant is told of once.
    grant_id    uuid,
    created_at  timestamptz not null default clock_timestamp(),
    unique (endpoint_id, grant_id)
);
create index webhook_deliveries_listed on webhook_deliveries (endpoint_id, number desc);
create index webhook_deliveries_waiting on webhook_deliveries (endpoint_id, next_at)
    where state = 'waiting';
create index webhook_deliveries_created on webhook_deliveries (created_at);

create table webhook_attempts (
    delivery_id uuid        not null references webhook_deliveries on delete cascade,
    number      int         not null,
    at          timestamptz not null,
    duration_ms int         not null,
    -- What was answered, if anything; of the body the beginning, encrypted with the person's key.
    status      int,
    response    text,
    error       text,
    primary key (delivery_id, number)
);

-- Whoever is forgotten listens to nothing any more.
create function forget_webhooks() returns trigger language plpgsql set search_path = public as $$
begin
    delete from webhook_endpoints where user_id = new.user_id;
    return null;
end $$;
create trigger person_webhooks_forgotten after update of destroyed_at on person_keys
    for each row when (new.destroyed_at is not null) execute function forget_webhooks();

-- Who follows the log begins where it ends now.
insert into process_checkpoints (name, position) select 'send_webhooks', position from log_head;

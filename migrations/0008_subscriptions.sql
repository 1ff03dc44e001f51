-- Subscriptions to plans: what plans' prices stand for, how subscriptions stand, and their invoices.
-- The read model is filled from the start of the log again, since it keeps more of it than before.

truncate billing.packs, billing.plans, billing.purchases;
update projections.checkpoints set position = 0 where name = 'billing';

alter table billing.plans add terms jsonb not null;

-- What each price that Stripe ever listed for a plan stands for.
create table billing.prices (
    price   text  primary key,
    plan_id uuid  not null,
    version int   not null,
    terms   jsonb not null
);

create table billing.subscriptions (
    subscription_id uuid        primary key,
    user_id         uuid        not null,
    plan_id         uuid        not null,
    plan            text        not null,
    tier            text        not null,
    status          text        not null,
    -- It runs at Stripe, and counts: a person has one such at a time.
    live            boolean     not null default false,
    -- Since when an invoice of it is not paid in time.
    behind_since    timestamptz,
    duplicate       boolean     not null default false,
    stripe          text,
    checkout        text,
    period_start    timestamptz,
    period_end      timestamptz,
    ends_at         timestamptz,
    -- When the next part of the quota is due.
    due_at          timestamptz,
    -- Parts that are released, and not known to be in the wallet; since when.
    awaited         int         not null default 0,
    awaited_since   timestamptz,
    created_at      timestamptz not null
);
create index on billing.subscriptions (user_id, created_at desc, subscription_id desc);
create index on billing.subscriptions (stripe);
create index on billing.subscriptions (behind_since) where behind_since is not null;
create index on billing.subscriptions (due_at) where due_at is not null;
create index on billing.subscriptions (awaited_since) where awaited > 0;

create table billing.invoices (
    invoice         text        primary key,
    subscription_id uuid        not null,
    user_id         uuid        not null,
    plan            text        not null,
    reason          text        not null,
    state           text        not null,
    total_minor     bigint      not null,
    paid_minor      bigint      not null,
    currency        text        not null,
    intents         text[]      not null,
    attempts        int         not null,
    -- What was released of the quota that it paid for.
    credits         bigint      not null default 0,
    refunded_minor  bigint      not null default 0,
    disputed_minor  bigint      not null default 0,
    disputed        boolean     not null default false,
    created_at      timestamptz not null,
    paid_at         timestamptz
);
create index on billing.invoices (user_id, created_at desc, invoice desc);
create index on billing.invoices using gin (intents);

-- Which subscription of a person's counts, of several that might run at once. No projection: it is
-- taken before the log is written, and whoever has ended gives way.
create table subscribers (
    user_id         uuid primary key,
    subscription_id uuid not null
);

-- Whose trial was offered with which order: once, unless nothing came of that order.
create table trials (
    user_id         uuid        primary key,
    subscription_id uuid        not null,
    claimed_at      timestamptz not null default clock_timestamp()
);

-- Whoever is forgotten here has no place among subscribers, and is forgotten at Stripe, too, by work
-- that remembers the customer.
create function forget_customer() returns trigger
language plpgsql
set search_path = public
as $$
declare
    gone text;
begin
    delete from subscribers where user_id = new.user_id;
    delete from trials where user_id = new.user_id;
    delete from stripe_customers where user_id = new.user_id returning customer into gone;
    if gone is not null then
        perform graphile_worker.add_job(
            identifier => 'delete_customer', payload => json_build_object('subject', gone),
            job_key => 'delete_customer/' || gone, max_attempts => 18);
    end if;
    return null;
end $$;
create trigger person_keys_destroyed after update of destroyed_at on person_keys
    for each row when (new.destroyed_at is not null) execute function forget_customer();

-- How far process managers have followed the log: each on its own.
create table process_checkpoints (
    name     text   primary key,
    position bigint not null
);
insert into process_checkpoints (name, position) select 'write_letters', position from log_head;
-- What letters are written of; few events among many.
create index events_of_sales on events (position)
    where aggregate_type in ('purchase', 'subscription');

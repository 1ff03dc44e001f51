-- What is sold and bought: the read model, and what stands beside the log about Stripe.

insert into projections.checkpoints (name) values ('billing');

create schema billing;

create table billing.packs (
    pack_id        uuid        primary key,
    name           text        not null,
    credits        bigint      not null,
    bonus          bigint      not null,
    amount_minor   bigint      not null,
    currency       text        not null,
    lasts_days     int,
    version        int         not null,
    on_sale        boolean     not null,
    -- As what Stripe lists it: which terms, and whether it can be bought there.
    product        text,
    price          text,
    listed_version int,
    listed_active  boolean,
    created_at     timestamptz not null
);

create table billing.plans (
    plan_id        uuid        primary key,
    name           text        not null,
    tier           text        not null,
    quota          bigint      not null,
    amount_minor   bigint      not null,
    currency       text        not null,
    pay_interval   text        not null,
    rollover       bigint      not null,
    trial_days     int         not null,
    version        int         not null,
    on_sale        boolean     not null,
    product        text,
    price          text,
    listed_version int,
    listed_active  boolean,
    created_at     timestamptz not null
);

create table billing.purchases (
    purchase_id    uuid        primary key,
    user_id        uuid        not null,
    pack_id        uuid        not null,
    name           text        not null,
    credits        bigint      not null,
    bonus          bigint      not null,
    amount_minor   bigint      not null,
    currency       text        not null,
    stage          text        not null,
    checkout       text,
    expires_at     timestamptz,
    intent         text,
    refunded_minor bigint      not null default 0,
    disputed_minor bigint      not null default 0,
    reversed_minor bigint      not null default 0,
    disputed       boolean     not null default false,
    created_at     timestamptz not null,
    paid_at        timestamptz
);
create index on billing.purchases (user_id, created_at desc, purchase_id desc);
create index on billing.purchases (intent);
-- Paid, and not granted yet: somebody died in between.
create index on billing.purchases (paid_at) where stage = 'paid';

-- Whose customer of Stripe's somebody is.
create table stripe_customers (
    user_id     uuid        primary key,
    customer    text        not null unique,
    -- When it was heard that somebody has deleted it at Stripe.
    gone_at     timestamptz,
    created_at  timestamptz not null default clock_timestamp()
);

-- What Stripe has told us: each event once, whatever became of it.
create table stripe_inbox (
    event_id    text        primary key,
    kind        text        not null,
    -- What it is about.
    object      text        not null,
    object_id   text        not null,
    created     timestamptz not null,
    livemode    boolean     not null,
    api_version text,
    payload     text        not null,
    -- Where it came from: a webhook, or the list of events.
    source      text        not null check (source in ('webhook', 'healed', 'replayed')),
    state       text        not null
        check (state in ('waiting', 'done', 'ignored', 'quarantined', 'dead')),
    attempts    int         not null default 0,
    error       text,
    received_at timestamptz not null default clock_timestamp(),
    -- Since when it was to be settled: later than that, where it was replayed.
    waiting_since timestamptz not null default clock_timestamp(),
    settled_at  timestamptz
);
create index stripe_inbox_waiting on stripe_inbox (object_id) where state = 'waiting';
-- What waits for somebody.
create index stripe_inbox_kept_back on stripe_inbox (state, received_at desc, event_id desc)
    where state in ('quarantined', 'dead');
create index stripe_inbox_received on stripe_inbox (received_at desc, event_id desc);

-- How far the events that Stripe lists were gone through.
create table stripe_cursor (
    id         smallint    primary key default 1 check (id = 1),
    healed_to  timestamptz not null
);

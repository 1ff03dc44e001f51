-- The read models. Each projection owns a schema of its name, so that a rebuilt one can take its
-- place by renaming; queries find the tables through the search path. All of it can be dropped and
-- rebuilt from the log.

create schema projections;

-- How far each projection has followed the log. Holding the row's lock is leadership.
create table projections.checkpoints (
    name       text        primary key,
    position   bigint      not null default 0,
    halted     text,
    updated_at timestamptz not null default now()
);

insert into projections.checkpoints (name) values ('balances'), ('transactions'), ('users');

create schema balances;

create table balances.wallets (
    wallet_id uuid   primary key,
    available bigint not null,
    held      bigint not null,
    debt      bigint not null,
    version   bigint not null,
    position  bigint not null
);

create table balances.grants (
    wallet_id  uuid        not null,
    grant_id   uuid        not null,
    kind       text        not null,
    granted    bigint      not null,
    remaining  bigint      not null,
    held       bigint      not null,
    priority   smallint    not null,
    expires_at timestamptz,
    funding    jsonb       not null,
    -- The event that granted it.
    position   bigint      not null,
    primary key (wallet_id, grant_id)
);
create index grants_due on balances.grants (expires_at) where remaining > 0 and expires_at is not null;

create table balances.holds (
    wallet_id  uuid        not null,
    hold_id    uuid        not null,
    origin     text        not null,
    state      text        not null,
    authorized bigint      not null,
    captured   bigint      not null,
    released   bigint      not null,
    expires_at timestamptz not null,
    -- The event that authorised it.
    position   bigint      not null,
    primary key (wallet_id, hold_id)
);
create index holds_due on balances.holds (expires_at) where state = 'authorized';

create schema transactions;

create table transactions.transactions (
    position        bigint      primary key,
    wallet_id       uuid        not null,
    kind            text        not null,
    amount          bigint      not null,
    consumed        bigint      not null,
    available_after bigint      not null,
    held_after      bigint      not null,
    debt_after      bigint      not null,
    reason          text        not null,
    reference       uuid        not null,
    request_id      text,
    recorded_at     timestamptz not null
);
create index transactions_of_wallet on transactions.transactions (wallet_id, position desc);

create schema users;

create table users.users (
    user_id       uuid        primary key,
    email         text,
    name          text,
    registered_at timestamptz not null,
    last_seen_at  timestamptz not null
);

-- The read models. Each projection owns a schema of its name, so that a rebuilt one can take its
-- place by renaming; queries find the tables through the search path. All of it can be dropped and
-- rebuilt from the log. Indexes have the names that Postgres gives them, which are those that they
-- have after a rebuild, too.

create schema projections;

-- How far each projection has followed the log. Holding the row's lock is leadership.
create table projections.checkpoints (
    name       text        primary key,
    position   bigint      not null default 0,
    updated_at timestamptz not null default now(),
    -- The event that it cannot get past, why, and since when.
    halted     bigint,
    error      text,
    halted_at  timestamptz,
    check ((halted is null) = (error is null) and (halted is null) = (halted_at is null))
) with (fillfactor = 10);

insert into projections.checkpoints (name) values ('balances'), ('transactions'), ('users');

create schema balances;

create table balances.wallets (
    wallet_id uuid   primary key,
    available bigint not null check (available >= 0),
    held      bigint not null check (held >= 0),
    debt      bigint not null check (debt >= 0),
    version   bigint not null,
    position  bigint not null
) with (fillfactor = 70);

create table balances.grants (
    wallet_id  uuid        not null,
    grant_id   uuid        not null,
    kind       text        not null,
    granted    bigint      not null,
    remaining  bigint      not null check (remaining >= 0),
    held       bigint      not null check (held >= 0),
    priority   smallint    not null,
    expires_at timestamptz,
    funding    jsonb       not null,
    -- The event that granted it.
    position   bigint      not null,
    -- A column of its own: were the index to look at `remaining`, each spend would have to write
    -- the index, too.
    live       boolean     not null generated always as (remaining > 0) stored,
    primary key (wallet_id, grant_id)
) with (fillfactor = 70);
create index on balances.grants (expires_at) where live and expires_at is not null;

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
    primary key (wallet_id, hold_id),
    check (captured + released <= authorized)
) with (fillfactor = 70);
create index on balances.holds (expires_at) where state = 'authorized';

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
create index on transactions.transactions (wallet_id, position desc);

create schema users;

create table users.users (
    user_id        uuid        primary key,
    email          text,
    email_verified boolean     not null,
    phone          text,
    name           text,
    role           text        not null,
    status         text        not null,
    registered_at  timestamptz not null,
    last_seen_at   timestamptz not null
) with (fillfactor = 70);

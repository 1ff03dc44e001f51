-- How people come in. No projections: either two people race for it, or it is a secret, which never
-- stands in an event. All but challenges and limits is written in the unit of the event that tells
-- of it.

-- Who owns an e-mail address, a telephone or an identity at a provider, by keyed hash: a row for each
-- of the keys that there were when it was claimed.
create table claims (
    claim_hash  bytea primary key,
    key_id      text  not null,
    kind        text  not null check (kind in ('email', 'phone', 'identity')),
    user_id     uuid  not null,
    -- Which of the person's identities it is.
    identity_id uuid,
    check ((kind = 'identity') = (identity_id is not null))
);
create index claims_user on claims (user_id);

-- Passwords, hashed.
create table passwords (
    user_id uuid primary key,
    hash    text not null
);

-- A refresh token names its session and its generation, and is signed: nothing of it is kept.
create table sessions (
    session_id   uuid        primary key,
    user_id      uuid        not null,
    -- Of the one token that is good.
    generation   int         not null default 0,
    rotated_at   timestamptz,
    started_at   timestamptz not null,
    last_used_at timestamptz not null,
    -- Unless it is refreshed before; and at the latest.
    expires_at   timestamptz not null,
    ends_at      timestamptz not null,
    -- Where it was started from, encrypted with the person's key.
    sealed       text,
    ended_at     timestamptz
);
create index sessions_user on sessions (user_id, started_at desc);
-- What every node must refuse from now on.
create index sessions_ended on sessions (ended_at) where ended_at is not null;

-- Providers who vouch for people: what the provider knows the person by, what the person sees of it,
-- and the provider's tokens, encrypted with a key of the house.
create table identities (
    identity_id uuid        primary key,
    user_id     uuid        not null,
    provider    text        not null,
    sealed      text        not null,
    tokens      text,
    linked_at   timestamptz not null,
    -- Until when nobody else refreshes the tokens: who does may die of it.
    leased_until timestamptz
);
create index identities_user on identities (user_id, linked_at);

-- Keys for programs, hashed.
create table api_keys (
    key_id       uuid        primary key,
    user_id      uuid        not null,
    key_hash     bytea       not null unique,
    prefix       text        not null,
    scopes       text[]      not null,
    -- Requests that it may make within any second.
    per_second   int         not null,
    sealed       text        not null,
    created_at   timestamptz not null,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    -- Its owner's account does.
    rests        boolean     not null default false
);
create index api_keys_user on api_keys (user_id, created_at desc);
create index api_keys_revoked on api_keys (revoked_at) where revoked_at is not null;

-- Proofs that were asked for: codes and links. Guesses are counted in the statement that compares.
create table challenges (
    challenge_id uuid        primary key,
    purpose      text        not null,
    -- Whom it is for, where there is an account.
    user_id      uuid,
    -- What it was sent to, as claims have it, by each key; and what passing it proves, encrypted with a key of
    -- the house.
    sent_to      bytea[],
    sealed       text        not null,
    secret_hash  bytea       not null,
    attempts     int         not null default 0,
    most         int         not null,
    created_at   timestamptz not null,
    expires_at   timestamptz not null,
    used_at      timestamptz
);
create index challenges_user on challenges (user_id) where used_at is null;
create index challenges_sent_to on challenges using gin (sent_to);
create index challenges_expired on challenges (expires_at);

-- How often something was tried, by the generic cell rate algorithm: one time for each bucket, at
-- which all that was tried is forgotten. One statement reads, decides and writes.
create table limits (
    bucket bytea       primary key,
    empty_at timestamptz not null
);
create index limits_empty on limits (empty_at);

-- Messages of the local environment, where nobody sends any: for whoever develops to look at.
create table dev_inbox (
    message_id uuid        primary key,
    channel    text        not null,
    sent_to    text        not null,
    subject    text        not null,
    text       text        not null,
    sent_at    timestamptz not null
);

-- Spends that were refused, the newest of each person: a refusal appends nothing to the log, which whoever is refused
-- could grow for ever. No projection, and a proof of nothing: what a node has not yet written when it dies is lost.
create table declines (
    decline_id  bigint      generated always as identity primary key,
    declined_at timestamptz not null,
    user_id     uuid        not null,
    key_id      uuid,
    operation   text        not null,
    reason      text        not null,
    required    bigint      not null,
    available   bigint      not null,
    held        bigint      not null,
    times       bigint      not null check (times > 0)
);
create index declines_user on declines (user_id, decline_id desc);
create index declines_age on declines (declined_at);

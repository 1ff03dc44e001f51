-- What administrators have the house do: read models stand still when they say so, and the log is verified when they ask
-- for it.

-- Since when a read model is to stand still: then nobody projects it. Beside `halted`, since one may be both.
alter table projections.checkpoints add column paused_at timestamptz;

-- Verifications that were asked for, and what they found, as `saldo verify` tells it. No part of the log: they are about it.
create table verifications (
    verification_id uuid        primary key,
    asked_at        timestamptz not null,
    -- When a node began last: one that is killed is followed by another.
    started_at      timestamptz,
    ended_at        timestamptz,
    -- What was found, or why nothing could be.
    report          jsonb,
    error           text,
    check ((ended_at is null) = (report is null and error is null)),
    check (report is null or error is null)
);

-- One at a time: each reads all of the log.
create unique index on verifications ((true)) where ended_at is null;

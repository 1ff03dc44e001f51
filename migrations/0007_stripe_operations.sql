-- What whoever operates the shop sees and does: purchases that wait for a decision, refunds, and
-- whether Stripe says what is said here.

alter table billing.purchases
    -- What came, where it came; it may not be what was asked for.
    add column paid_minor          bigint,
    add column paid_currency       text,
    add column refund_requested_at timestamptz,
    -- When money came last, or went.
    add column moved_at            timestamptz;
create index on billing.purchases (stage, created_at desc, purchase_id desc);
create index on billing.purchases (moved_at);
create index on billing.purchases (user_id) where disputed;

-- What the daily comparison with Stripe found. No projection: it tells of what is not in the log.
create table stripe_reports (
    report_id   uuid        primary key,
    started_at  timestamptz not null,
    ended_at    timestamptz not null,
    -- What has moved since then was compared.
    since       timestamptz not null,
    compared    bigint      not null,
    mismatches  jsonb       not null
);

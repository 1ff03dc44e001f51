-- What whoever operates the shop sees and does: purchases that wait for a decision, and refunds.

alter table billing.purchases
    -- What came, where it came; it may not be what was asked for.
    add column paid_minor          bigint,
    add column paid_currency       text,
    add column refund_requested_at timestamptz;
create index on billing.purchases (stage, created_at desc, purchase_id desc);

-- Auto-recharge: the read model that says whose wallet is to be recharged, and the card that a
-- person has let us keep.

create table billing.recharges (
    user_id          uuid        primary key,
    enabled          boolean     not null,
    pack_id          uuid        not null,
    -- What the person agreed to pay for it, in the smallest unit of the currency.
    price_minor      bigint      not null,
    currency         text        not null,
    threshold        bigint      not null,
    cap_minor        bigint      not null,
    wording          text        not null,
    consented_at     timestamptz not null,
    -- Spends up to this position of the log cause nothing.
    after            bigint      not null,
    -- How many there were, and the purchase of the one in flight.
    number           int         not null default 0,
    purchase_id      uuid,
    waits_for_person boolean     not null default false,
    spent            bigint,
    ready_at         timestamptz,
    -- The month that was charged last, by its first day, and what it was charged.
    charged_month    date,
    charged_minor    bigint      not null default 0,
    charged_currency text,
    failure          text,
    failed_at        timestamptz,
    off_reason       text
);
-- Looked through every second: nothing is in it when nobody wants any.
create index on billing.recharges (user_id) where enabled and purchase_id is null;
create index on billing.recharges (purchase_id) where purchase_id is not null;

-- The card of the last payment whose owner let us keep it. Beside the log, since the log is for ever
-- and a card is not.
create table saved_cards (
    user_id        uuid        primary key,
    -- None: Stripe knows it no more.
    payment_method text,
    -- When the payment was made: it brings its card once, and an older one does not.
    paid_at        timestamptz not null
);

-- Whoever is forgotten has no card here any more.
create function forget_card() returns trigger language plpgsql set search_path = public as $$
begin
    delete from saved_cards where user_id = new.user_id;
    return null;
end $$;
create trigger person_cards_forgotten after update of destroyed_at on person_keys
    for each row when (new.destroyed_at is not null) execute function forget_card();

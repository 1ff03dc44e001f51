-- Every request that had a webhook sent once more, not only the last: one that comes again after another one sends
-- nothing. They are as many as may be asked for (ten a minute), and go with the webhook.
create table webhook_redeliveries (
    delivery_id uuid        not null references webhook_deliveries on delete cascade,
    request_id  uuid        not null,
    primary key (delivery_id, request_id)
);

insert into webhook_redeliveries (delivery_id, request_id)
select delivery_id, asked_by from webhook_deliveries where asked_by is not null;

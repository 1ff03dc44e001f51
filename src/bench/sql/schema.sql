-- The plain-SQL wallet that Saldo is measured against: a balance in a column, and a row for each spend.
create table wallets (id int primary key, balance bigint not null);
create table tx (id bigserial primary key, wallet int not null, amount bigint not null, reason text not null,
    created_at timestamptz default now());
create index on tx (wallet, id);
insert into wallets select i, 1000000000 from generate_series(1, 1000) i;
analyze wallets;

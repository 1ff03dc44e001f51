-- What Compose's Postgres is set up with when its volume is new: a role that owns the database and migrates, and one
-- that serves and may only append to the log (docs/operations/roles.md). Everybody knows these passwords: give both
-- roles others, here and in docker-compose.yml, before anybody else can reach them.
create role saldo_owner login password 'saldo';
create role saldo_server login password 'saldo';
create database saldo owner saldo_owner;

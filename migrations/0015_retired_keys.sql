-- Keys of the house that were retired. A node whose file is older than that would go on with them: people whom it lets
-- register would be found by no other node, and what it encrypts would be read by none. No projection: it is told by
-- `saldo keys retire`, and by nothing in the log.
create table retired_keys (
    key_id     text        primary key,
    purpose    text        not null,
    retired_at timestamptz not null default now()
);

-- What the claims of a statement are found by, once keys are gone. A node that has not read yet that a key is gone
-- claims by the next one, too, and has it claimed by both.
create function refuse_retired_claims() returns trigger
language plpgsql
set search_path = public, pg_temp
as $$
begin
    if exists (
        select from claimed n
        join retired_keys r on r.key_id = n.key_id
        where not exists (
            select from claims c
            where c.user_id = n.user_id and c.kind = n.kind
              and c.identity_id is not distinct from n.identity_id
              and not exists (select from retired_keys o where o.key_id = c.key_id)))
    then
        raise exception 'the lookup key was retired' using errcode = 'P0K01';
    end if;
    return null;
end $$;

create trigger claims_by_retired_keys after insert on claims
referencing new table as claimed
for each statement execute function refuse_retired_claims();

create function refuse_retired_wrapping() returns trigger
language plpgsql
set search_path = public, pg_temp
as $$
begin
    if exists (select from retired_keys where key_id = new.key_id) then
        raise exception 'the key-encryption key was retired' using errcode = 'P0K01';
    end if;
    return new;
end $$;

create trigger wrapped_by_retired_keys before insert or update of wrapped_key on person_keys
for each row when (new.wrapped_key is not null) execute function refuse_retired_wrapping();

create function refuse_retired_sealing() returns trigger
language plpgsql
set search_path = public, pg_temp
as $$
begin
    if exists (select from retired_keys where key_id = split_part(new.sealed, '.', 1)) then
        raise exception 'the sealing key was retired' using errcode = 'P0K01';
    end if;
    return new;
end $$;

create trigger sealed_by_retired_keys before insert or update of sealed on identities
for each row execute function refuse_retired_sealing();

create trigger sealed_by_retired_keys before insert or update of sealed on challenges
for each row execute function refuse_retired_sealing();
